"""The command line: finds a command's module when it is called, turns errors into exit codes. Knows no command's work."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches

import click

from active_learner import __version__, bounds, parent
from active_learner.errors import ActiveLearnerError

COMMANDS = {
    "up": "Start everything on this machine, and follow it.",
    "broker": "Relay messages between all others.",
    "serve": "The trainer: pool, labels and rounds.",
    "evaluator": "The network and its optimizer.",
    "source": "Propose candidates.",
    "label": "Answer questions.",
    "status": "Ask a running experiment how it is.",
    "ping": "Is the broker there?",
    "annotator": "Who may label over HTTP.",
    "keys": "Who may come in from other machines.",
    "check": "Try a configuration and its network.",
    "labels": "Import and export labels.",
    "store": "Verify, back up and upgrade the label store.",
    "melody": "Write the best melodies of a run as MIDI and WAV files.",
    "config": "Show a configuration, its schema, its reference.",
    "init": "Write a small experiment of your own.",
    "runs": "List the run folders.",
    "report": "Write a run's report.html.",
    "replay": "Train a run again from its plans, and compare the weights.",
    "bench": "Measure.",
    "chaos": "Run a configuration under fire: kills, bad links, cuts.",
    "demo": "Digits: asking by uncertainty against asking at random.",
}
"""Name -> one line; the command is `command` in commands/NAME.py, imported only when it is called."""

EXIT_CODES = """\b
Exit codes:
  0  done, or stopped by Ctrl-C or SIGTERM
  1  failure, port in use
  2  wrong usage
  3  configuration or network not valid
  4  broker or peer not reachable
  5  store or role held by another process; store of another run, damaged, rolled back, or on a failing disk
  130, 143  killed before it could stop gracefully
"""


class LazyGroup(click.Group):
    """Lists all commands without importing one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"active_learner.commands.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = get_close_matches(args[0], COMMANDS, 1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{guess} Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    name="active-learner",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="active-learner")
def group() -> None:
    """A human teaches a network while something else keeps inventing candidates.

    CONFIG is a file, or the name of an experiment that comes with the package: active-learner up digits
    """


SERVICES = ("broker", "serve", "evaluator", "source", "label")


def _end_while_starting(number: int, frame: object) -> None:
    """A KeyboardInterrupt inside of an import may be taken for a failure of the import, and lost. Once it runs, a service
    hears Ctrl-C itself."""
    os.write(2, b"stopped\n")
    os._exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit with the code that the epilog promises."""
    parent.watch()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in SERVICES:
        signal.signal(signal.SIGINT, _end_while_starting)
        gc.disable()  # imports make no garbage, and looking for it takes a quarter of that of torch; shell.run enables it
    code = run(arguments)
    if "torch" in sys.modules:
        # Its teardown takes 0.3 s, on a busy machine 2 s, of the 3 s in which `up` ends all. Services have flushed in stop().
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code; errors that a person may see are told on stderr, without a traceback."""
    try:
        result = group.main(arguments, prog_name="active-learner", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except ActiveLearnerError as error:
        click.echo(f"error: {error}" if "\n" not in str(error) else str(error), err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone (head, less): nothing more can be said
        return 1
    except Exception as error:
        text = bounds.exhausted(error)
        if text is None:
            raise
        click.echo(f"error: {text}", err=True)
        return 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
