"""The expansion designer: choose where, what, whom and how dense; see cost, size and the command; then run it."""

import asyncio
import os
from pathlib import Path
from textwrap import indent
from typing import Any

import anywidget
import traitlets

from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.expansion_estimate import Estimate, Samples, take
from labkit.vm.replay.expansion_job import Expanded, Job, expansion
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.expansion_text import as_command, as_python
from labkit.vm.replay.recording import Recording
from labkit.vm.replay.symbols import Symbols
from labkit.vm.replay.trace_parts import GuestRecipe, Recipe, RecordingRecipe
from labkit.widgets.notation import decimal, size
from labkit.widgets.replay.command import CommandError, parse
from labkit.widgets.replay.designer_static import as_html
from labkit.widgets.replay.form import Form
from labkit.widgets.theme import css, esm

__all__ = ["Designer", "ExpansionDesigner"]

ENOUGH = 100_000
"""Instructions of a place in samples, from which an estimate is good."""
FRAME = 0.1
"""Seconds between two looks at a running job."""


class Designer:
    """The designer without a page: a form, samples of the run, a job; every face is drawn from this."""

    def __init__(self, source: Recipe | str | os.PathLike[str], samples: Samples | None = None) -> None:
        self.recipe = source if isinstance(source, GuestRecipe | RecordingRecipe) else RecordingRecipe(str(source))
        self.log_bytes: int | None = None
        if isinstance(self.recipe, RecordingRecipe):
            recording = Recording.read(self.recipe.path)
            self.log_bytes, self.name = recording.log_bytes, Path(self.recipe.path).name
        else:
            self.name = self.recipe.guest
        self._symbols: Symbols | None = None
        self.form = Form(self._address)
        self.samples = samples
        self.sampling: Job[Samples] | None = None
        self.job: Job[Expanded] | None = None
        self.problem = ""
        """Why there is no estimate, where that has a reason."""

    def _address(self, text: str) -> int | None:
        """A symbol's address; the symbols are read when somebody first asks for one."""
        if not text or text.removeprefix("0x").isdigit():
            return None
        if self._symbols is None:
            image = self.recipe.source().machine.image
            self._symbols = Symbols(image.symbols if image else ())
        return self._symbols.address(text)

    # --- what is known

    def sample(self) -> Samples:
        """Take the samples, now and here."""
        if self.samples is None:
            self.samples = take(self.recipe)
        return self.samples

    def begin_sampling(self) -> None:
        """Take them in a thread: of the whole run first, then of the place that is chosen."""
        if self.sampling is not None and self.sampling.state == "running":
            return
        recipe, more, inside = self.recipe, self.samples, self.place
        if more is None:
            self.sampling = Job(lambda tell: take(recipe, tell=tell))
        elif inside is not None:
            self.sampling = Job(lambda tell: take(recipe, more=more, inside=inside, tell=tell))

    def look(self) -> None:
        """See whether a job is done."""
        if self.sampling is not None and self.sampling.result is not None:
            self.samples, self.sampling = self.sampling.result, None

    @property
    def place(self) -> tuple[int, int] | None:
        """The window that is chosen, where it lies in the run; None for the whole run."""
        chosen = self.form.parameters.windows
        if not chosen or self.samples is None or chosen[0][0] >= self.samples.end:
            return None
        return chosen[0][0], min(chosen[0][1], self.samples.end)

    @property
    def coarse(self) -> bool:
        """Would samples of the chosen place say more?"""
        estimate = self.estimate
        return estimate is not None and self.place is not None and estimate.seen < min(estimate.through, ENOUGH)

    @property
    def estimate(self) -> Estimate | None:
        """What will come out; None before there are samples, or where a field is wrong."""
        self.problem = ""
        if self.samples is None or self.form.errors:
            return None
        try:
            return self.samples.estimate(self.form.parameters, self.form.form)
        except TimelineError as error:  # no pyarrow, for one
            self.problem = str(error)
            return None

    @property
    def command(self) -> str:
        """The same as a command line; empty for what `labkit trace` does not do."""
        if self.form.form == "caches":
            return ""
        return as_command(
            self.recipe, self.form.parameters, self.form.out, self.form.form,
            jobs=self.form.jobs, scheduler=self.form.scheduler,
        )  # fmt: skip

    @property
    def python(self) -> str:
        """The same in Python."""
        made = f"expand(\n    run,\n    {as_python(self.form.parameters)},\n)"
        return f"Caches().feed({made})" if self.form.form == "caches" else made

    # --- running

    @property
    def busy(self) -> bool:
        """Does something run?"""
        return any(job is not None and job.state == "running" for job in (self.job, self.sampling))

    def run(self) -> Job[Expanded]:
        """Begin to expand. Raises CommandError."""
        if self.form.errors:
            raise CommandError(next(iter(self.form.errors.values())))
        if self.job is not None and self.job.state == "running":
            raise CommandError("an expansion is running: cancel it first")
        form = self.form
        work = expansion(
            self.recipe, form.parameters, form.form, form.out, jobs=form.jobs, scheduler=form.scheduler
        )
        self.job = Job(work)
        return self.job

    def cancel(self) -> None:
        """End what runs. Raises CommandError where nothing does."""
        if self.job is None or self.job.state != "running":
            raise CommandError("nothing runs")
        self.job.cancel()

    # --- in words

    def told(self) -> str:
        """How the job stands."""
        job = self.job
        if job is None:
            return ""
        if job.state == "failed":
            return f"not done: {job.error}"
        if job.state == "cancelled":
            return "cancelled; the run itself is untouched"
        if job.result is None:
            left = job.seconds_left
            return f"{job.done:.0%}" + ("" if left is None else f", about {max(1, round(left))} s left")
        made = job.result
        place = f", {size(made.size)} in {made.out}" if made.out else ""
        return f"{decimal(made.instructions)} instructions in {made.seconds:.1f} s{place}"

    def sizes(self) -> list[tuple[str, int]]:
        """Bytes of the log, and of what it expands to."""
        found = [] if self.log_bytes is None else [("event log, whole run", self.log_bytes)]
        estimate = self.estimate
        if estimate is not None and self.form.form != "caches":
            found.append((f"trace, {self.form.form}, about", estimate.size))
        made = self.job.result if self.job is not None else None
        if made is not None and made.size:
            found.append(("trace, as written", made.size))
        return found

    def view(self) -> dict[str, Any]:
        """Plain data for the front-end."""
        estimate, sampling, job = self.estimate, self.sampling, self.job
        most = max((count for _name, count in self.sizes()), default=1)
        return {
            "name": self.name, "groups": self.form.groups(), "command": self.command, "python": self.python,
            "estimate": None if estimate is None else {
                "rows": _about(estimate.total), "size": _size(estimate, self.form.form),
                "seconds": _seconds(estimate.seconds), "note": _note(estimate),
            },
            "sampling": self.problem if sampling is None else _sampling(sampling), "sampled": self.samples is not None,
            "sizes": [
                {"name": name, "bytes": size(count), "share": max(1, len(bin(count))) / len(bin(max(most, 1)))}
                for name, count in self.sizes()
            ],
            "running": job is not None and job.state == "running", "done": 0 if job is None else job.done,
            "told": self.told(), "said": job.result.said if job is not None and job.result is not None else "",
            "wrong": bool(self.form.errors), "coarse": self.coarse and not self.busy,
        }  # fmt: skip


def _rounded(count: int) -> int:
    """Two digits of a number that is only about right."""
    return int(float(f"{count:.1e}"))


def _about(count: int) -> str:
    return decimal(_rounded(count))


def _seconds(seconds: float) -> str:
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _size(estimate: Estimate, form: str) -> str:
    return "no file" if form == "caches" else size(_rounded(estimate.size))


def _note(estimate: Estimate) -> str:
    kept = f"{_about(estimate.instructions)} of {_about(estimate.through)} instructions"
    kept += f", from samples of {_about(estimate.seen)}" if estimate.seen else "; no sample lies there"
    return f"at most: the place is found while running; {kept}" if estimate.bound else kept


def _sampling(job: Job[Samples]) -> str:
    return f"no estimate: {job.error}" if job.state == "failed" else f"taking samples, {job.done:.0%}"


class ExpansionDesigner(anywidget.AnyWidget):
    """Design an expansion of a recording (its path) or of a guest (`GuestRecipe`), and run it.

    In code: `designer.show(ExpansionParameters(...))`, `designer.sample()`, `designer.run()`.
    """

    _esm = esm("static/elements.js", "static/expansion_designer.js")
    _css = css("static/replay.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, source: Recipe | str | os.PathLike[str], samples: Samples | None = None) -> None:
        self.designer = Designer(source, samples)
        self._seq, self._message = 0, ""
        self._task: asyncio.Task[None] | None = None
        super().__init__()
        self.on_msg(self._on_message)
        self.refresh()

    @property
    def parameters(self) -> ExpansionParameters:
        """What the fields make."""
        return self.designer.form.parameters

    def show(self, parameters: ExpansionParameters, form: str = "parquet") -> "ExpansionDesigner":
        """Fill the fields."""
        self.designer.form.show(parameters)
        self.designer.form.set("form", form)
        self.refresh()
        return self

    def sample(self) -> "ExpansionDesigner":
        """Take the samples for the estimates, and wait for them; a page asks for them by itself."""
        self.designer.sample()
        self.refresh()
        return self

    def run(self) -> Expanded | None:
        """Expand, and wait for it; None where it has failed or was cancelled."""
        job = self.designer.run()
        job.wait()
        self.refresh()
        return job.result

    def refresh(self) -> None:
        """Send what is shown now."""
        self.designer.look()
        self.view = {**self.designer.view(), "seq": self._seq, "message": self._message}

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        self._message = ""
        try:
            self._obey(content)
        except (CommandError, ValueError, OSError) as error:
            self._message = " ".join(str(error).split())
        self.refresh()
        self._watch(begun=isinstance(content, dict) and content.get("do") in {"run", "sample"})

    def _obey(self, content: Any) -> None:
        command, designer = parse(content), self.designer
        self._seq = max(self._seq, command.seq)
        if command.do == "set":
            designer.form.set(command.name, command.text)
        elif command.do == "sample":
            designer.begin_sampling()
        elif command.do == "run":
            designer.run()
        elif command.do == "cancel":
            designer.cancel()
        elif command.do == "copy":
            faces = {"command": designer.command, "Python": designer.python, "text": str(self)}
            self.send({"copy": faces.get(command.name, ""), "name": command.name})
        else:
            raise CommandError(f"there is no command {command.do!r}")

    def _watch(self, *, begun: bool) -> None:
        """Show a job's progress while it runs, and its end: one that has just `begun` may be over already."""
        if not (begun or self.designer.busy) or (self._task is not None and not self._task.done()):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no event loop: whoever calls looks for himself
        self._task = loop.create_task(self._watching())

    async def _watching(self) -> None:
        while self.designer.busy:
            self.refresh()
            await asyncio.sleep(FRAME)
        self.refresh()

    def __str__(self) -> str:
        return "\n".join(_lines(self.designer))

    def __repr__(self) -> str:
        return f"<expansion designer on {self.designer.name}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle: Any = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": str(self), "text/html": as_html(self.designer.view())}, metadata


def _lines(designer: Designer) -> list[str]:
    view = designer.view()
    lines = [f"expansion of {designer.name}"]
    lines += [f"  {name}: {message}" for name, message in designer.form.errors.items()]
    estimate = view["estimate"]
    if estimate:
        lines.append(f"  about {estimate['rows']} rows, {estimate['size']}, {estimate['seconds']}; {estimate['note']}")
    else:
        lines.append(f"  no estimate yet: {view['sampling'] or 'it needs samples of the run'}")
    lines += [f"  {one['name']}: {one['bytes']}" for one in view["sizes"]]
    lines += [indent(text, "  ") for text in (view["command"], view["python"]) if text]
    return lines + [line for line in (view["told"], view["said"]) if line]
