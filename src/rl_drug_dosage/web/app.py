"""The routes of the page and of its interface for machines."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.reports.document import asset
from rl_drug_dosage.web.catalogue import drug_record, drugs, examples, scenario_value, scenarios
from rl_drug_dosage.web.description import openapi
from rl_drug_dosage.web.fields import field_of
from rl_drug_dosage.web.guard import Guard, one_line
from rl_drug_dosage.web.jobs import BusyError, Jobs, NoSuchJobError
from rl_drug_dosage.web.patients import Bedside, FieldError
from rl_drug_dosage.web.play import Play, playable
from rl_drug_dosage.web.settings import Settings
from rl_drug_dosage.web.trials import Trials
from rl_drug_dosage.web.warmth import Warmth

__all__ = ["Server", "make_app"]

_ROOM = files("rl_drug_dosage.web") / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript"}
_STATIC = {entry.name: _KINDS[suffix] for entry in _ROOM.iterdir() if (suffix := Path(entry.name).suffix) in _KINDS}
_DOCUMENT = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'"
"""For a report, whose own policy, with the hashes of its style and script, holds besides."""
_THREADS = 4


class _GoneError(Exception):
    """The sender has left."""


class Server:
    """State of one server, and its handlers.

    Args:
        settings: see there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.jobs = settings, Jobs()
        self.bedside = Bedside(settings.models)
        self.trials = Trials(self.jobs, settings.models, settings.output_dir)
        self.play = Play(self.jobs, settings.models)
        self.warmth = Warmth(self._warm, wanted=bool(settings.warm))
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="web")
        self._turn = asyncio.Lock()
        self._waiting = 0

    def _warm(self, patient: dict[str, Any], everything: bool) -> None:
        scenario = drug_record(patient["drug"])["scenario"] if everything else None
        ask = {"policies": self.bedside.policies_of(scenario)}
        self.bedside.recommend(json.dumps({"patient": patient, "ask": ask}).encode())

    async def light(self, work: Callable[[], Any]) -> Any:
        """A quick answer, beside whatever is being computed."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def heavy(self, request: Request, work: Callable[[], Any]) -> Any:
        """An answer that needs the processor: one after the other, and none for a sender who has left.

        Raises:
            BusyError: too many are waiting.
            TimeoutError: see `Limits.answer_s`.
        """
        if self._waiting >= self.settings.limits.waiting:
            raise BusyError("too many requests are waiting; send fewer, or later")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.limits.answer_s), self._turn:
                if await request.is_disconnected():
                    raise _GoneError
                return await self.light(work)
        finally:
            self._waiting -= 1

    async def page(self, request: Request) -> Response:
        """The page."""
        return Response(_file("index.html"), media_type="text/html")

    async def static(self, request: Request) -> Response:
        """Style sheets and scripts, those of the package alone."""
        name = request.path_params["name"]
        if name == "report.css":
            return Response(asset("report.css"), media_type="text/css")
        if name not in _STATIC:
            return _error(404, "no such file")
        return Response(_file(name), media_type=_STATIC[name])

    async def described(self, request: Request) -> Response:
        """This interface, as OpenAPI."""
        return JSONResponse(openapi())

    async def status(self, request: Request) -> Response:
        """What is ready."""
        return JSONResponse({"programs": self.warmth.record(), "waiting": self._waiting})

    async def drug_list(self, request: Request) -> Response:
        """Every drug of the page."""
        return JSONResponse({"drugs": list(drugs())})

    async def drug(self, request: Request) -> Response:
        """One drug, whose programs are prepared from now on."""
        name = request.path_params["drug"]
        record = await self.light(lambda: drug_record(name))
        self.warmth.want(name)
        return JSONResponse(record | {"policies": self.bedside.policies_of(record["scenario"])})

    async def example_list(self, request: Request) -> Response:
        """The worked examples of a drug."""
        name = request.path_params["drug"]
        return JSONResponse({"patients": await self.light(lambda: examples(name))})

    async def recommend(self, request: Request) -> Response:
        """A recommendation."""
        raw = await request.body()
        return JSONResponse(await self.heavy(request, lambda: self.bedside.recommend(raw)))

    async def sheet(self, request: Request) -> Response:
        """A recommendation as a document."""
        raw = await request.body()
        return _document(await self.heavy(request, lambda: self.bedside.sheet(raw)))

    async def forecast(self, request: Request) -> Response:
        """A dose of the reader's choice."""
        raw = await request.body()
        return JSONResponse(await self.heavy(request, lambda: self.bedside.forecast(raw)))

    async def read(self, request: Request) -> Response:
        """The patients of a file."""
        raw = await request.body()
        return JSONResponse(await self.light(lambda: self.bedside.read(raw)))

    async def scenario_list(self, request: Request) -> Response:
        """Every scenario."""

        def work() -> list[dict[str, Any]]:
            found = {name: scenario_value(name) for name in scenarios()}
            return [{"name": n, "title": s.title, "playable": playable(s)} for n, s in found.items()]

        return JSONResponse({"scenarios": await self.light(work)})

    async def scenario(self, request: Request) -> Response:
        """One scenario."""
        name = request.path_params["scenario"]
        return JSONResponse(await self.light(lambda: self.trials.offered(name)))

    async def start_trial(self, request: Request) -> Response:
        """Begin a trial."""
        raw = await request.body()
        job = await self.light(lambda: self.trials.start(raw))
        return JSONResponse(job.record(), status_code=202)

    async def turn(self, request: Request) -> Response:
        """One game so far."""
        raw = await request.body()
        return JSONResponse(await self.heavy(request, lambda: self.play.turn(raw)))

    async def compare(self, request: Request) -> Response:
        """Begin the comparison with policies."""
        raw = await request.body()
        job = await self.light(lambda: self.play.compare(raw))
        return JSONResponse(job.record(), status_code=202)

    async def job(self, request: Request) -> Response:
        """How far a job is."""
        return JSONResponse(self.jobs.find(request.path_params["id"]).record())

    async def stop(self, request: Request) -> Response:
        """End a job at its next step."""
        job = self.jobs.find(request.path_params["id"])
        job.stop()
        return JSONResponse(job.record())

    async def report(self, request: Request) -> Response:
        """The report of a finished trial."""
        job = self.jobs.find(request.path_params["id"])
        return _document(job.document) if job.document else _error(404, "there is no report yet; wait for the end")

    def routes(self) -> list[Route]:
        """Every address below the token."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/static/{name}", self.static, methods=["GET"]),
            Route("/api/openapi.json", self.described, methods=["GET"]),
            Route("/api/status", self.status, methods=["GET"]),
            Route("/api/drugs", self.drug_list, methods=["GET"]),
            Route("/api/drugs/{drug}", self.drug, methods=["GET"]),
            Route("/api/drugs/{drug}/examples", self.example_list, methods=["GET"]),
            Route("/api/recommend", self.recommend, methods=["POST"]),
            Route("/api/recommend/sheet", self.sheet, methods=["POST"]),
            Route("/api/forecast", self.forecast, methods=["POST"]),
            Route("/api/read", self.read, methods=["POST"]),
            Route("/api/scenarios", self.scenario_list, methods=["GET"]),
            Route("/api/scenarios/{scenario}", self.scenario, methods=["GET"]),
            Route("/api/trials", self.start_trial, methods=["POST"]),
            Route("/api/play", self.turn, methods=["POST"]),
            Route("/api/play/compare", self.compare, methods=["POST"]),
            Route("/api/jobs/{id}", self.job, methods=["GET"]),
            Route("/api/jobs/{id}", self.stop, methods=["DELETE"]),
            Route("/api/jobs/{id}/report", self.report, methods=["GET"]),
        ]


@cache
def _file(name: str) -> bytes:
    return (_ROOM / name).read_bytes()


def _document(text: str) -> Response:
    policy = f"{_DOCUMENT}; form-action 'none'; frame-ancestors 'none'"
    return Response(text, media_type="text/html", headers={"content-security-policy": policy})


def _error(status: int, message: str, field: str | None = None) -> Response:
    return JSONResponse({"error": one_line(message), "field": field}, status_code=status)


async def _refused(request: Request, error: Exception) -> Response:
    status = 409 if isinstance(error, BusyError) else 404 if isinstance(error, NoSuchJobError) else 400
    field = error.field if isinstance(error, FieldError) else field_of(str(error), None, None)
    return _error(status, str(error), field)


async def _late(request: Request, error: Exception) -> Response:
    return _error(503, "the answer took too long; try it again, or with fewer entries")


async def _gone(request: Request, error: Exception) -> Response:
    return _error(499, "the sender has left")


async def _broken(request: Request, error: Exception) -> Response:
    """The message may quote a patient: only the class is named."""
    return _error(500, f"internal error ({type(error).__name__}); please report it")


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _error(status, "no such method here" if status == 405 else "no such address; api/openapi.json lists them")


def make_app(settings: Settings, port: int) -> Guard:
    """The application of one server.

    Args:
        settings: see there.
        port: that it is bound to; the Host header has to name it.
    """
    server = Server(settings)

    handlers: dict[Any, Any] = {
        RlDrugDosageError: _refused,
        TimeoutError: _late,
        _GoneError: _gone,
        404: _unknown,
        405: _unknown,
        Exception: _broken,
    }
    app = Starlette(routes=server.routes(), exception_handlers=handlers)
    app.router.redirect_slashes = False
    for drug in reversed(settings.warm):
        server.warmth.want(drug)
    if settings.warm:
        server.warmth.start()
    return Guard(app, settings.token, settings.names(port), settings.limits)
