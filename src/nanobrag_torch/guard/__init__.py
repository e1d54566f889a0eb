"""What every program has around it: streams that cannot fail, signals, and one line for what nobody foresaw.

A program is a function from words to a status. `guarded` runs it so that

- an exception that is not its own becomes one line and the status `FAULT`; `--traceback` shows where it came from;
- SIGTERM and SIGHUP end it as Ctrl-C does: blocks are left in order, so no file is half there and no child is left;
- a standard output that nobody reads loses the text and nothing else, and one that is full is told of when
  everything is written;
- characters that the terminal's encoding lacks are spelt out.

`interruptible` keeps the main thread free for signals while native code computes; `uncollected` and `leave` make the
beginning and the end of a program short. What is said to the user is made in `messages`, `streams` has the standard
output, `signals` what ends a program.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nanobrag_torch.guard import messages, signals
from nanobrag_torch.guard.streams import guarded_streams

LONGEST_LINE = messages.LONGEST_LINE
complain, in_one_line, shortened = messages.complain, messages.in_one_line, messages.shortened
Ended, interruptible, leave = signals.Ended, signals.interruptible, signals.leave
begetting, child_group = signals.begetting, signals.child_group
piece_of_work, work_for_another = signals.piece_of_work, signals.work_for_another

FAULT = 70
"""Exit status after an error that is none of the input: out of memory, a failing system, a fault of the program."""
INTERRUPTED = 130
TRACEBACK = ("-traceback", "--traceback")


def guarded(name: str, program: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a program.

    Args:
        name: what its messages begin with.
        program: from its words to its status.
        argv: its words; those of this process by default, of which `--traceback` is taken away.

    Returns:
        What the program returns; `FAULT`; 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP. Nothing is returned when
        the words are those of this process and it was started under the program's name: it ends here (`leave`).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    own = words[: words.index("--")] if "--" in words else words
    wanted = any(word in TRACEBACK for word in own)
    words = [word for word in own if word not in TRACEBACK] + words[len(own) :]
    if not messages.has_working_directory():
        # Libraries that are loaded later look for it, and end the process in words of their own.
        complain(name, messages.NO_FOLDER)
        return FAULT
    ended = False
    with guarded_streams() as out:
        try:
            with signals.heard_signals():
                status = program(words)
                out.flush()
        except KeyboardInterrupt as error:
            ended = True
            status = 128 + error.number if isinstance(error, Ended) else INTERRUPTED
            said = f"ended by {error}" if isinstance(error, Ended) else "interrupted"
            complain(name, said)
        except Exception as error:
            if wanted:
                import traceback

                messages.show(traceback.format_exc())
            complain(name, in_one_line(error))
            status = FAULT
        if out.failure and status == 0:
            complain(name, f"the standard output cannot be written: {out.failure}; the files are complete")
            status = FAULT
    if argv is None and (ended or signals.ABANDONED):
        signals.end_at_once(status)
    if argv is None and os.path.splitext(os.path.basename(sys.argv[0]))[0] == name:
        leave(status)
    return status


@contextmanager
def uncollected() -> Iterator[None]:
    """A block that loads modules, in which no garbage is looked for.

    Modules leave next to none, and going through all that torch makes takes longer than a small image.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
