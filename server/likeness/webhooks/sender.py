"""The sender: takes due rows from the outbox and posts them, a few at the same time. Any number of servers run one.

Nothing waits for it. At least once: a server that dies amid a delivery lets another one send it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx

from likeness import __version__
from likeness.records import outbox
from likeness.records.outbox import Delivery
from likeness.settings import Settings
from likeness.webhooks.addresses import resolve
from likeness.webhooks.errors import AddressError
from likeness.webhooks.receiver import Receiver, read_receiver
from likeness.webhooks.signing import signed_headers

EVERY_S: Final = 1.0
AT_ONCE: Final = 8
# One attempt, from looking the name up to the status; and connecting to one of its addresses.
ATTEMPT_S: Final = 15.0
CONNECT_S: Final = 4.0
# Longer than an attempt: then the sender has died, and another one takes its rows.
LEASE_S: Final = 30.0
HEADERS: Final = {"content-type": "application/json", "user-agent": f"likeness/{__version__}"}
logger = logging.getLogger(__name__)


class Sender:
    """Sends from `start` to `close`, if webhook_url is set; `write` is `Database.write` in a thread."""

    def __init__(self, write: Callable[..., Awaitable[Any]], settings: Settings) -> None:
        self._write = write
        self._settings = settings
        self._under_way: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send; raises SettingsError."""
        if self._settings.webhook_url:
            logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs
            post = Post(read_receiver(self._settings))
            self._task = asyncio.create_task(self._run(post))

    async def close(self) -> None:
        """Stop, at once: what is under way is sent again when its lease is over."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, post: Post) -> None:
        try:
            while True:
                try:
                    await self._turn(post)
                except Exception:  # whatever it was, the next turn must come
                    logger.exception("Webhooks could not be sent; trying again.")
                    await asyncio.sleep(EVERY_S)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await post.close()

    async def _turn(self, post: Post) -> None:
        """Fill the free places; one that hangs keeps its own and no other."""
        free = AT_ONCE - len(self._under_way)
        taken = await self._write(outbox.take, free, LEASE_S)
        for delivery in taken:
            task = asyncio.create_task(self._deliver(post, delivery))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if len(taken) < free:
            await asyncio.sleep(EVERY_S)
        else:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _deliver(self, post: Post, delivery: Delivery) -> None:
        received, answer = await _attempt(post, delivery)
        what = f"Webhook {delivery.id}, attempt {delivery.attempt}: {answer}"
        try:
            if received:
                await self._write(outbox.delivered, delivery)
                logger.info("%s.", what)
            elif await self._write(outbox.postpone, delivery):
                logger.warning("%s; it is tried again.", what)
            else:
                logger.error("%s; it is given up. `likeness webhooks redrive` sends it again.", what)
        except Exception:  # the database does not answer
            logger.exception("%s; that could not be noted, so it is sent again.", what)


class Post:
    """Posts to one receiver. Its answer's body is not read; redirects are not followed, nor is a proxy asked."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        trusted = httpx.create_ssl_context(trust_env=False)
        trusted.load_default_certs(ssl.Purpose.SERVER_AUTH)  # those of this machine, or of SSL_CERT_FILE, too
        limits = httpx.Timeout(ATTEMPT_S, connect=CONNECT_S)
        self._client = httpx.AsyncClient(verify=trusted, trust_env=False, follow_redirects=False, timeout=limits)
        # A name server that hangs holds threads: these, and nobody else's.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks")

    async def send(self, delivery: Delivery) -> int:
        """One attempt; answers the status."""
        addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._resolve)
        for address in addresses[:-1]:
            # Nothing was sent: the next address may be one that this machine can reach.
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._send_to(address, delivery)
        return await self._send_to(addresses[-1], delivery)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _resolve(self) -> list[str]:
        return resolve(self._receiver.host, self._receiver.port, private=self._receiver.private)

    async def _send_to(self, address: str, delivery: Delivery) -> int:
        """The address is connected to as it is; TLS and the request name the host."""
        url, body = self._receiver.url, delivery.body.encode()
        signed = signed_headers(self._receiver.key, delivery.id, int(delivery.taken_at), body)
        request = self._client.stream(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={**HEADERS, **signed, "host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": self._receiver.host},
        )
        async with request as response:
            return response.status_code


async def _attempt(post: Post, delivery: Delivery) -> tuple[bool, str]:
    """Whether it was received, and how it was answered. Only 2xx will do: a receiver that says 410 today may have
    been misconfigured for an hour.
    """
    try:
        async with asyncio.timeout(ATTEMPT_S):
            status = await post.send(delivery)
    except AddressError as error:
        return False, str(error).rstrip(".")
    except Exception as error:  # whatever it is, it must not keep the row from its pause
        return False, type(error).__name__
    return 200 <= status < 300, f"status {status}"
