"""An OCR service of three deployments, each with its own share of the machine.

    Ingress (HTTP)  ->  FileType (magika)  ->  Ocr (RapidOCR: ONNX Runtime and OpenCV)

The weights come inside the packages. Constructors import the libraries, so that each replica
loads only what it uses.
"""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any, TypedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from penstock import serve

if TYPE_CHECKING:
    import numpy

    from penstock.serve.handle import DeploymentHandle

__all__ = ["FileType", "Ingress", "Line", "Ocr", "Threads", "app"]

# magika's names of what Pillow decodes.
_PICTURES = ("bmp", "gif", "jpeg", "png", "tiff", "webp")


class Line(TypedDict):
    """A line of text, the model's confidence in it (0 to 1), and its four corners in pixels."""

    text: str
    score: float
    box: list[list[float]]


class Threads(TypedDict):
    """The threads that one replica computes with."""

    replica: str
    share: int  # what the replica may use
    settings: dict[str, int]  # what each library says it uses, its caller's thread included
    workers: int  # threads that the libraries really started beside their callers'


def thread_share() -> int:
    """Threads this replica may compute with: the engine sets max(1, floor(num_cpus))."""
    return int(os.environ["OMP_NUM_THREADS"])


def native_threads() -> int:
    """Threads of this process that Python did not start, as the kernel counts them."""
    return len(os.listdir("/proc/self/task")) - threading.active_count()


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
class Ingress:
    """Takes a file as the body of a POST, answers with the text on it as JSON."""

    def __init__(self, file_type: DeploymentHandle, ocr: DeploymentHandle) -> None:
        self._file_type = file_type
        self._ocr = ocr

    async def __call__(self, request: Request) -> Response:
        """200 with the lines; 415 when the file is no picture, 400 when it is a damaged one."""
        file = await request.body()
        kind: str = await self._file_type.identify.remote(file)
        if kind not in _PICTURES:
            message = f"This file is no picture, its type is: {kind}. POST a {', '.join(_PICTURES)}."
            return JSONResponse({"error": message}, status_code=415)
        try:
            lines: list[Line] = await self._ocr.read.remote(file)
        except ValueError as error:
            return JSONResponse({"error": error.args[0]}, status_code=400)
        return JSONResponse({"type": kind, "lines": lines})


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=1)
class FileType:
    """Says what type of file some bytes are."""

    def __init__(self) -> None:
        import onnxruntime
        from magika import Magika

        self._threads_before = native_threads()
        # ONNX Runtime ignores OMP_NUM_THREADS: untold, it takes every core of the machine.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_share()

        class LimitedMagika(Magika):
            """Magika has no argument for a session's options."""

            def _init_onnx_session(self) -> Any:
                cpu = ["CPUExecutionProvider"]
                return onnxruntime.InferenceSession(self._model_path, options, providers=cpu)

        self._magika = LimitedMagika()

    def identify(self, file: bytes) -> str:
        """The type in a word, such as "png" or "txt"."""
        return str(self._magika.identify_bytes(file).output.label)

    def threads(self) -> Threads:
        """The threads of this replica."""
        return Threads(
            replica=serve.get_replica_context().replica_tag,
            share=thread_share(),
            settings={"ONNX Runtime": _session_threads(self._magika._onnx_session)},
            workers=native_threads() - self._threads_before,
        )


# One request at a time: a second would compute on a second core, which nobody asked for.
@serve.deployment(
    ray_actor_options={"num_cpus": 0.8},
    max_ongoing_requests=1,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 1,
        "upscale_delay_s": 1,
        "metrics_interval_s": 0.5,
        "look_back_period_s": 1,
    },
)
class Ocr:
    """Finds the text on a picture and reads it."""

    def __init__(self) -> None:
        import cv2
        import onnxruntime  # noqa: F401 - starts a thread of its own, which is no worker
        from rapidocr_onnxruntime import RapidOCR

        self._threads_before = native_threads()
        # Neither OpenCV nor ONNX Runtime reads OMP_NUM_THREADS.
        cv2.setNumThreads(thread_share())
        self._ocr = RapidOCR(
            intra_op_num_threads=thread_share(),
            inter_op_num_threads=1,
            use_cls=False,  # no search for text that is upside down
            det_limit_type="max",  # large pictures are made smaller, small ones stay as they are
            det_limit_side_len=960,
        )

    def read(self, picture: bytes) -> list[Line]:
        """The lines of text from top to bottom. ValueError when the picture cannot be decoded."""
        found, _ = self._ocr(_decode(picture))
        return [Line(text=text, score=float(score), box=box) for box, text, score in found or ()]

    def threads(self) -> Threads:
        """The threads of this replica."""
        import cv2

        finder, reader = self._ocr.text_det.infer, self._ocr.text_rec.session
        return Threads(
            replica=serve.get_replica_context().replica_tag,
            share=thread_share(),
            settings={
                "OpenCV": cv2.getNumThreads(),
                "ONNX Runtime (find)": _session_threads(finder.session),
                "ONNX Runtime (read)": _session_threads(reader.session),
            },
            workers=native_threads() - self._threads_before,
        )


def _session_threads(session: Any) -> int:
    """What an ONNX Runtime session was told; 0 would be every core."""
    return int(session.get_session_options().intra_op_num_threads)


def _decode(picture: bytes) -> numpy.ndarray[Any, Any]:
    """The pixels as OpenCV has them: blue, green, red."""
    import numpy
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture)) as image:
            return numpy.asarray(image.convert("RGB"))[:, :, ::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"This picture cannot be decoded: {error}") from None


# mypy takes decorated classes for what they were before.
app = Ingress.bind(FileType.bind(), Ocr.bind())  # type: ignore[attr-defined]
