# Rules over a plan, as `plan --out plan.json` writes it. Each rule says a line for what it minds; with none, the end is 0,
# else the lines go to stderr, and the end is 1. Keep those that are yours: jq -f policy.jq plan.json
def rules:
  (.actions[] | select(.days > 92)
    | "\(.transfer) \(.start)..\(.end): \(.days) days in one backfill, at most 92"),
  (.actions[] | select(.owner == [])
    | "\(.transfer): nobody owns it; set `owner` in \(.declared_at[0])"),
  (.actions[] | select(.days > 31 and .notes == [])
    | "\(.transfer) \(.start)..\(.end): more than a month wants a `reason`, in \(.declared_at[0])"),
  (.transfers[] | select(.days.failed > 0 and .days.planned > 0)
    | "\(.transfer): \(.days.failed) days failed for good; look at them before more is loaded"),
  (.guards[] | select(.planned > .allowed * 0.9)
    | "\(.owner // "team \(.team_id)"): \(.planned) of \(.allowed) days of `\(.guard)`; the last tenth is for nights"),
  (select(.summary.cancel > 0)
    | "\(.summary.cancel) backfills would be cancelled; have somebody do that by hand");

[rules] | unique | if . == [] then empty else join("\n") + "\n" | halt_error(1) end
