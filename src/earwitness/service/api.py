"""The addresses of the service, as FastAPI describes them at /openapi.json and the page shows them at /docs."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from earwitness import __version__
from earwitness.errors import LabelError, SettingsError
from earwitness.inference.tag_settings import TagSettings
from earwitness.listening.rows import SCHEMA_VERSION
from earwitness.listening.timeline_settings import TimelineSettings, hop_frames
from earwitness.service import answers, metrics
from earwitness.service.admission import House
from earwitness.service.assets import Asset, read_assets
from earwitness.service.guard import Guard
from earwitness.service.hearing import Hearing, Sound
from earwitness.service.metrics import Metrics
from earwitness.service.names import tame
from earwitness.service.problems import Problem, unforeseen_problem
from earwitness.service.sending import PacedResponse
from earwitness.service.settings import ServiceSettings
from earwitness.service.uploads import UploadLimits, received

JSON = "application/json"
EVENT_TYPES = {
    "json": JSON,
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
}
"""Forms of a timeline."""

_GONE = 499
"""What logs call the status of an answer that nobody waited for."""


class _Asked(BaseModel):
    """Parameters of an address. Others are refused."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", description="What the file is called: answers and errors name it so.")


class TagAsked(_Asked):
    """Parameters of /v1/tag."""

    top: int = Field(TagSettings.top, description="At most so many labels, best first.")
    min_score: float = Field(TagSettings.min_score, description="Only labels with at least this score.")
    threshold: float | Literal["own"] = Field(
        "own", description="own: only labels that reach the model's own threshold, where it has any; a number: all do."
    )


class TimelineAsked(_Asked):
    """Parameters of /v1/timeline."""

    hop_seconds: float | None = Field(None, description="From one patch to the next. Not given: half a patch.")
    threshold: float | Literal["own"] = Field(
        "own",
        description="An event is heard where patches score at least this; own: the model's own thresholds, or 0.5.",
    )
    keep_share: float = Field(
        TimelineSettings.keep_share, description="It goes on while they score at least this share of the threshold."
    )
    min_seconds: float = Field(TimelineSettings.min_seconds, description="Shorter events are left out.")
    max_gap_seconds: float = Field(TimelineSettings.max_gap_seconds, description="Gaps up to this are closed.")
    format: Literal["json", "csv", "txt", "vtt", "srt"] = Field(
        "json", description="csv: a table; txt: labels for Audacity; vtt and srt: captions."
    )
    picture: bool = Field(False, description="Also what a picture needs (JSON only): spectrogram, scores of 40 labels.")


class EmbedAsked(_Asked):
    """Parameters of /v1/embed."""

    hop_seconds: float | None = Field(None, description="From one patch to the next. Not given: the model's own.")
    format: Literal["json", "npy"] = Field("json", description="npy: a NumPy file, float32 [patches, size].")


def make_app(hearing: Hearing, house: House, counters: Metrics, settings: ServiceSettings, *, model_name: str) -> Guard:
    """The whole service as one ASGI application."""
    app = FastAPI(
        title="earwitness",
        version=__version__,
        summary="What is heard in a sound, and when.",
        description="Send a video or audio file as the body of a request. Errors are `application/problem+json`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_uploads(app, hearing, house, settings, counters)
    _add_questions(app, hearing, counters, settings, model_name=model_name)
    assets = read_assets()
    for path, asset in assets.items():
        app.add_api_route(path, partial(_asset, asset), include_in_schema=False, dependencies=[Depends(_no_parameters)])
    _add_error_handlers(app)
    routes = {"/v1/tag": True, "/v1/timeline": True, "/v1/embed": True, "/v1/labels": True, "/metrics": True}
    routes |= {"/health": False, "/openapi.json": False, **dict.fromkeys(assets, False)}
    return Guard(
        app, allowed_names=settings.allow_host, api_key=settings.read_api_key(), metrics=counters, routes=routes
    )


def _add_uploads(app: FastAPI, hearing: Hearing, house: House, settings: ServiceSettings, counters: Metrics) -> None:
    limits = UploadLimits(max_bytes=settings.max_bytes, max_seconds=settings.upload_seconds)
    front_end = hearing.model.front_end

    async def answered(
        request: Request, name: str, work: Callable[[Sound], bytes], media_type: str, hop: int | None = None
    ) -> Response:
        async with (
            house.admitted(),
            received(request, name=tame(name), folder=hearing.folder, limits=limits, stop=house.stop) as upload,
        ):
            counters.upload_bytes += upload.num_bytes
            content = await house.while_awaited(request, hearing.hear(upload, work, patch_hop_frames=hop))
        return PacedResponse(content, media_type=media_type, house=house)

    @app.post("/v1/tag", summary="Name what is heard in a file", **_documented({JSON: {}}))
    async def tag(request: Request, asked: Annotated[TagAsked, Query()]) -> Response:
        chosen = TagSettings(top=asked.top, min_score=asked.min_score, threshold=asked.threshold)
        return await answered(request, asked.name, lambda s: answers.tags(s, hearing.tagger, chosen), JSON)

    @app.post(
        "/v1/timeline", summary="Say what is heard when", **_documented({kind: {} for kind in EVENT_TYPES.values()})
    )
    async def timeline(request: Request, asked: Annotated[TimelineAsked, Query()]) -> Response:
        chosen = TimelineSettings(
            hop_seconds=asked.hop_seconds,
            threshold=asked.threshold,
            keep_share=asked.keep_share,
            min_seconds=asked.min_seconds,
            max_gap_seconds=asked.max_gap_seconds,
        )
        hop = hop_frames(asked.hop_seconds, front_end)
        if asked.picture and asked.format != "json":
            raise Problem(400, f"picture=true goes with format=json, not {asked.format}")

        def work(sound: Sound) -> bytes:
            return answers.timeline(sound, hearing.tagger, chosen, form=asked.format, with_picture=asked.picture)

        return await answered(request, asked.name, work, EVENT_TYPES[asked.format], hop)

    @app.post(
        "/v1/embed", summary="The embedding of every patch", **_documented({JSON: {}, "application/octet-stream": {}})
    )
    async def embed(request: Request, asked: Annotated[EmbedAsked, Query()]) -> Response:
        runner = hearing.embedder
        hop = None if asked.hop_seconds is None else hop_frames(asked.hop_seconds, front_end)

        def work(sound: Sound) -> bytes:
            return answers.embeddings(sound, runner, hearing.tagger, patch_hop_frames=hop, form=asked.format)

        return await answered(
            request, asked.name, work, JSON if asked.format == "json" else "application/octet-stream", hop
        )


def _add_questions(
    app: FastAPI, hearing: Hearing, counters: Metrics, settings: ServiceSettings, *, model_name: str
) -> None:
    @app.get("/v1/labels", summary="What the model can hear", dependencies=[Depends(_no_parameters)])
    async def labels() -> dict[str, Any]:
        model = hearing.model
        thresholds = None if model.thresholds is None else model.thresholds_or(0.5).tolist()
        return {
            "schema_version": SCHEMA_VERSION,
            "model": model_name,
            "network": model.architecture.name,
            "labels": model.label_set.to_rows(),
            "is_calibrated": model.calibration is not None,
            "own_thresholds": thresholds and [min(value, 2.0) for value in thresholds],
            "patch_seconds": model.front_end.patch_seconds,
            "frame_seconds": model.front_end.frame_seconds,
            "max_megabytes": settings.max_megabytes,
            "max_minutes": settings.max_minutes,
        }

    @app.get("/health", summary="Whether the service is there", dependencies=[Depends(_no_parameters)])
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", summary="Counters for Prometheus", dependencies=[Depends(_no_parameters)])
    async def counted() -> Response:
        return Response(counters.text(), media_type=metrics.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def _asset(asset: Asset, request: Request) -> Response:
    headers = {"ETag": asset.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


async def _no_parameters(request: Request) -> None:
    for name in request.query_params:
        raise Problem(400, f"unknown parameter {name[:100]!r}; {request.url.path} takes none")


def _add_error_handlers(app: FastAPI) -> None:
    """All of them become problems."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return _told(error)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(_: Request, error: RequestValidationError) -> Response:
        return _told(Problem(400, _sentence(error)))

    @app.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:200]
        if error.status_code == 404:
            return _told(Problem(404, f"there is nothing at {path!r}; /docs lists what there is"))
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            return _told(Problem(405, f"{path} takes {allowed}, not {request.method[:20]}", headers=error.headers))
        return _told(Problem(error.status_code, str(error.detail)))

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_GONE)  # nobody reads it

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:
        return _told(unforeseen_problem())

    for kind in (SettingsError, LabelError):

        @app.exception_handler(kind)
        async def refused(_: Request, error: Exception) -> Response:
            return _told(Problem(400, str(error)))


def _told(problem: Problem) -> Response:
    return Response(problem.body(), status_code=problem.status, headers=problem.all_headers())


def _sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong with the parameters."""
    found = error.errors()[0]
    name = str(found["loc"][-1])[:100]
    if found["type"] == "extra_forbidden":
        return f"unknown parameter {name!r}; /docs lists what there is"
    names = [str(part) for part in found["loc"] if part != "query"]
    came = str(found.get("input"))[:100]
    return f"{names[0][:100]}={came!r}: {found['msg']}"


def _documented(content: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI cannot know of an address that takes a file."""
    problem = {
        "description": "A problem: `detail` is a sentence, `failure_kind` a word for programs.",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "failure_kind": {"type": "string"},
                    },
                }
            }
        },
    }
    meanings = {
        400: "A parameter is wrong.",
        401: "The key is missing or wrong.",
        408: "The body comes too slowly.",
        413: "The body is too large.",
        415: "The body is a form, or compressed.",
        422: "No sound comes out of it, or too much; `failure_kind` says why.",
        503: "Busy, being stopped, or not done in time; `Retry-After` says when to try again.",
        507: "The disk is full.",
    }
    return {
        "response_class": Response,
        "responses": {
            200: {"description": "What was heard.", "content": content},
            **{status: {**problem, "description": words} for status, words in meanings.items()},
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "description": "A video or audio file, as it is.",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    }
