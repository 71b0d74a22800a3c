"""Which CI run this is, from the variables that CI systems set."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.untrusted import printable

_LONGEST = 300  # characters
_URLS = {  # the variables that are set, and what they make
    "GitHub": "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    "GitLab": "{CI_JOB_URL}",
    "Buildkite": "{BUILDKITE_BUILD_URL}",
    "CircleCI": "{CIRCLE_BUILD_URL}",
    "Azure": "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
    "Bitbucket": "https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
    "Jenkins": "{BUILD_URL}",
}


def ci_run(environ: Mapping[str, str]) -> str:
    """Return the address of the CI run, ``""`` where there is none or it cannot be told."""
    for url in _URLS.values():
        try:
            found = url.format_map(environ)
        except KeyError:
            continue
        if found:
            return printable(found[:_LONGEST], "?")
    return ""
