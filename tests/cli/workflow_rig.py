"""Runs a workflow's jobs step by step, with the shell lines of the YAML: a runner without its host.

Of the actions of others that the examples use it does what those do here: a checkout, artifacts. A repository
has ``main``, a branch of a change, and the merge of that, as the host keeps it for a pull request.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cli_rig import KEY, Done, checked

ROOT = Path(__file__).resolve().parents[2]
OURS = "your-org/reconciler"
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # what `shell: bash` means there
MERGE = "refs/pull/1/merge"
PERSON = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
# The command as it is installed, but that a killed run's lock is soon free, and that a create may kill it.
TOOL = f"""#!{sys.executable}
import os, signal, sys
from pathlib import Path
from reconciler.__main__ import main
from reconciler.stores import gitlock
gitlock.LEASE = 1.5
Path(os.environ["RUNNER_TEMP"], "pid").write_text(str(os.getpid()))
if os.environ.get("KILLED"):
    from reconciler.http import HttpTransport
    send = HttpTransport.send
    def send_and_die(self, request, *rest, **more):
        try:
            return send(self, request, *rest, **more)
        finally:
            if request.method == "POST":
                os.kill(os.getpid(), signal.SIGKILL)
    HttpTransport.send = send_and_die
sys.exit(main())
"""


def git(folder: Path, *arguments: str) -> str:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *PERSON, *arguments], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.strip()


def evaluate(text: str, context: Mapping[str, Any]) -> Any:
    """Evaluate an expression: names with dots, texts, ``== != && || !`` and ``!cancelled()``."""
    words = {"&&": " and ", "||": " or ", "!": " not "}

    def python(found: re.Match[str]) -> str:
        word = found[0]
        if word in words:
            return words[word]
        return word if word[0] in "'(=)" or word == "!=" else f"look({word.removesuffix('()')!r})"

    source = re.sub(r"'[^']*'|&&|\|\||==|!=|!|\(|\)|[\w.-]+(?:\(\))?", python, " ".join(text.split()))
    return eval(source.strip(), {"look": lambda name: look(name, context)})  # of our own examples alone


def look(name: str, context: Mapping[str, Any]) -> Any:
    value: Any = context
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else value


def filled(value: Any, context: Mapping[str, Any]) -> str:
    """Return a text of the YAML with its ``${{ … }}`` evaluated."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found[1], context)), str(value))


def holds(condition: str | None, context: Mapping[str, Any], *, well: bool) -> bool:
    """Whether a step or job runs: one that does not ask ``cancelled`` wants all before it to be well."""
    if condition is None:
        return well
    inner = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", " ".join(condition.split()))
    return ("cancelled()" in inner or well) and bool(evaluate(inner, context))


@dataclass
class Ran:
    """A job: what each step that runs a command printed, the outputs, and whether all was well."""

    folder: Path
    done: list[Done] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    result: str = "success"

    @property
    def told(self) -> str:
        return "".join(one.out + one.err for one in self.done)


@dataclass
class Repository:
    """The remote, a person's clone, and jobs, each in a fresh folder that has the tool and no more."""

    root: Path
    env: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    jobs: int = 0
    more: str = ""
    event: Any = None

    def __post_init__(self) -> None:
        git(self.root, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        git(self.root, "init", "--quiet", "--initial-branch=main", "desk")
        git(self.desk, "remote", "add", "origin", str(self.remote))

    @property
    def desk(self) -> Path:
        return self.root / "desk"

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    def commit(self, text: str, branch: str = "main", **files: str) -> None:
        """Push a file of transfers; on another branch than ``main`` with its merge into that, too."""
        git(self.desk, "checkout", "--quiet", "-B", branch, *(["origin/main"] if branch != "main" else []))
        (self.desk / "backfills.yaml").write_text(text, "utf-8")
        for name, content in files.items():
            (self.desk / name.replace("_", ".")).write_text(content, "utf-8")
        git(self.desk, "add", "-A")
        git(self.desk, "commit", "--quiet", "-m", f"on {branch}")
        git(self.desk, "push", "--quiet", "--force", "origin", branch)
        if branch != "main":
            git(self.desk, "checkout", "--quiet", "-B", "main", "origin/main")
            git(self.desk, "merge", "--quiet", "--no-ff", "-m", "merge", branch)
            git(self.desk, "push", "--quiet", "--force", "origin", f"HEAD:{MERGE}")

    def merge(self) -> None:
        """Merge the change that was last committed."""
        git(self.desk, "push", "--quiet", "origin", "main")

    def job(
        self,
        workflow: str,
        name: str,
        event: Mapping[str, Any],
        needs: Mapping[str, Ran] | None = None,
        *,
        wanted: str = "success",
        more: str = "",
        **env: str,
    ) -> Ran:
        """Run a job of an example; ``wanted``: how it must end; ``more``: a flag that an apply gets too."""
        job = yaml.safe_load((ROOT / "examples" / "github" / workflow).read_text("utf-8"))["jobs"][name]
        needed = {one: {"outputs": ran.outputs, "result": ran.result} for one, ran in (needs or {}).items()}
        context: dict[str, Any] = {"github": event, "secrets": self.secrets, "needs": needed}
        self.more, self.event = more, event.get("event", {})
        self.jobs += 1
        ran = Ran(self.root / f"job-{self.jobs}" / "work")
        if not holds(job.get("if"), context, well=True):
            ran.result = "skipped"
        else:
            self._tool(ran)
            context["steps"] = self._steps(ran, job["steps"], context, env)
            ran.outputs = {key: filled(text, context) for key, text in job.get("outputs", {}).items()}
        assert ran.result == wanted, (ran.result, ran.told)
        return ran

    def action(self, **given: str) -> Ran:
        """Run the action alone, in an empty folder."""
        self.jobs += 1
        ran = Ran(self.root / f"job-{self.jobs}" / "work")
        self._tool(ran)
        self._ours(ran, given, {}, {})
        return ran

    def _tool(self, ran: Ran) -> None:
        tool = ran.folder.parent / "temp" / "reconciler" / "bin" / "reconciler"
        tool.parent.mkdir(parents=True)
        tool.write_text(TOOL, "utf-8")
        tool.chmod(0o755)
        ran.folder.mkdir()

    def _steps(
        self, ran: Ran, steps: Sequence[Any], context: dict[str, Any], env: Mapping[str, str]
    ) -> dict[str, Any]:
        """Run steps in their order; return what those with an id tell."""
        told: dict[str, Any] = {}
        for step in steps:
            context = {**context, "steps": told, "cancelled": False}
            if not holds(step.get("if"), context, well=ran.result == "success"):
                continue
            given = {key: filled(value, context) for key, value in step.get("with", {}).items()}
            outputs: dict[str, str] = {}
            if "run" in step:
                outputs = self._run(ran, step, context, env)
            elif step["uses"].startswith(OURS):
                outputs = self._ours(ran, given, context, env)
            else:
                OTHERS[step["uses"].partition("@")[0]](self, ran, given, context["github"])
            if "id" in step:
                told[step["id"]] = {"outputs": outputs}
        return told

    def _ours(
        self, ran: Ran, given: Mapping[str, str], context: Mapping[str, Any], env: Mapping[str, str]
    ) -> dict[str, str]:
        action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        assert set(given) <= set(action["inputs"]), given
        inputs = {name: one.get("default") for name, one in action["inputs"].items()} | dict(given)
        if inputs["command"] == "apply":
            inputs["args"] += f"\n{self.more}"
        inside: dict[str, Any] = {"inputs": inputs}  # secrets are not seen in there
        inside["steps"] = self._steps(ran, action["runs"]["steps"], inside, env)
        return {name: filled(one["value"], inside) for name, one in action["outputs"].items()}

    def _run(
        self, ran: Ran, step: Mapping[str, Any], context: Mapping[str, Any], env: Mapping[str, str]
    ) -> dict[str, str]:
        temp = ran.folder.parent / "temp"
        script, outputs, summary = temp / "script.sh", temp / "outputs", temp / "summary"
        assert "${{" not in step["run"], "an expression in shell text"
        script.write_text(step["run"], "utf-8")
        (temp / "event.json").write_text(json.dumps(self.event), "utf-8")
        outputs.write_text("", "utf-8")
        own = {key: filled(value, context) for key, value in step.get("env", {}).items()}
        there = {"CI": "true", "GITHUB_ACTIONS": "true", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        there |= dict.fromkeys(("HOME", "RUNNER_TEMP", "TMPDIR"), str(temp))
        there |= dict.fromkeys(("GITHUB_ACTION_PATH", "PYTHONPATH"), str(ROOT))
        there |= {
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            **self.env,
            **own,
            **env,
        }
        process = subprocess.Popen(
            [*BASH, str(script)], cwd=ran.folder, env=there, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        out, err = process.communicate(timeout=120)
        ran.done.append(checked(Done(process.returncode, out, err)))
        if step.get("name") == "Run":
            assert (temp / "pid").read_text() == str(process.pid), "a signal to the step would not arrive"
        if process.returncode:
            ran.result = "failure"
        ran.summary = summary.read_text("utf-8") if summary.exists() else ""
        assert KEY not in ran.summary
        return dict(line.split("=", 1) for line in outputs.read_text("utf-8").splitlines())

    # -- actions of others ---------------------------------------------------------------------

    def _checkout(self, ran: Ran, given: Mapping[str, str], event: Mapping[str, Any]) -> None:
        git(ran.folder, "init", "--quiet")
        git(ran.folder, "remote", "add", "origin", f"file://{self.remote}")
        ref = given.get("ref") or event.get("sha") or event["ref"]
        git(ran.folder, "fetch", "--quiet", f"--depth={given.get('fetch-depth', 1)}", "origin", ref)
        git(ran.folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")

    def _upload(self, ran: Ran, given: Mapping[str, str], _event: Mapping[str, Any]) -> None:
        kept = self.root / f"artifact-{given['name']}" / given["path"]
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes((ran.folder / given["path"]).read_bytes())
        self.artifacts[given["name"]] = kept

    def _download(self, ran: Ran, given: Mapping[str, str], _event: Mapping[str, Any]) -> None:
        kept = self.artifacts[given["name"]]
        (ran.folder / kept.name).write_bytes(kept.read_bytes())


OTHERS = {
    "actions/checkout": Repository._checkout,
    "actions/upload-artifact": Repository._upload,
    "actions/download-artifact": Repository._download,
}
