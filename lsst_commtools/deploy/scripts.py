"""The shell scripts that run in the container of the bench; values come in as arguments, never as text of a script.

Each has a name, its ``$0``: so it is seen in ``docker top``, and the simulator knows it by that. They need a POSIX
shell, git, and no more. A process of a CSC under test is known by the variable ``COMMTOOLS_BENCH`` in its environment,
so that it is found also by somebody else, later.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FETCH",
    "LOCAL_CHANGES",
    "MARK",
    "OUTPUT",
    "PROCESSES",
    "SCRIPT_FOLDER",
    "START",
    "STOP",
    "Script",
]

MARK = "COMMTOOLS_BENCH"
SCRIPT_FOLDER = "/tmp/commtools"  # noqa: S108 - in the container, which people share by agreement
LOCAL_CHANGES = 65


@dataclass(frozen=True)
class Script:
    """A shell script.

    Parameters
    ----------
    name
        Its ``$0``.
    text
        The script.
    """

    name: str
    text: str

    def command(self, shell: str, *arguments: str) -> list[str]:
        """Give the command that runs it.

        Parameters
        ----------
        shell
            Shell of the container.
        arguments
            What it is given.

        Returns
        -------
        list of str
            Command and arguments.
        """
        return [shell, "-c", self.text, self.name, *arguments]


FETCH = Script(
    "commtools-fetch",  # folder, url, branch
    f"""set -e
cd "$HOME"
if [ ! -d "$1/.git" ]; then mkdir -p "$(dirname "$1")"; git clone --quiet --no-checkout "$2" "$1"; cd "$1"
else cd "$1"; changes=$(git status --porcelain --untracked-files=no)
if [ -n "$changes" ]; then echo "$changes"; exit {LOCAL_CHANGES}; fi; fi
git fetch --quiet origin "+refs/heads/$3:refs/remotes/origin/$3"
git checkout --quiet --detach "refs/remotes/origin/$3"
git rev-parse HEAD""",
)
"""Clone or pull; the branch is checked out detached, so that no branch of anybody moves, and a rebase does no harm."""

START = Script(
    "commtools-start",  # log, folder, program, index, setup lines
    f"""mkdir -p {SCRIPT_FOLDER} && rm -f "$1.exit" && exec >"$1" 2>&1 </dev/null
cd "$HOME" && cd "$2" || exit 66
log=$1 program=$3 index=$4; eval "$5"; set +e
"$program" "$index"; code=$?
echo "$code" >"$log.exit"; exit "$code\"""",
)
"""Run the program; setup lines of the site come first, as a person would type them."""

PROCESSES = Script(
    "commtools-processes",  # mark
    """for e in /proc/[0-9]*/environ; do
if tr '\\0' '\\n' <"$e" 2>/dev/null | grep -qxF "$1"; then p=${e#/proc/}; echo "${p%/environ}"; fi
done; true""",
)
"""List the processes that carry the mark."""

STOP = Script(
    "commtools-stop",  # mark, signal
    """for e in /proc/[0-9]*/environ; do
if tr '\\0' '\\n' <"$e" 2>/dev/null | grep -qxF "$1"; then p=${e#/proc/}; kill -"$2" "${p%/environ}" 2>/dev/null; fi
done; true""",
)
"""Send a signal to the processes that carry the mark, and to no other."""

OUTPUT = Script(
    "commtools-output",  # log, bytes to leave out
    """tail -c +"$(($2 + 1))" "$1" 2>/dev/null | head -c 100000
if [ -f "$1.exit" ]; then cat "$1.exit" >&2; fi; true""",
)
"""Print what the CSC wrote; on standard error its exit code, when it has ended."""
