"""Fixtures that several rooms need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.database import Database
from likeness.settings import Settings
from likeness.worker import jobs
from tests.postgres import Postgres, find_binaries
from tests.s3 import S3Server

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def _no_engines_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests load what they built themselves, whatever the user of this machine has built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server for all tests; each makes databases of its own in it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    server = Postgres(binaries, fsync="off", max_connections="200")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a migrated database, to copy; the queue's tables are in it too."""
    settings = Settings(database=postgres.create(), keys="elsewhere")
    database = Database(settings.database_url)
    database.migrate()
    database.close()
    jobs.migrate(settings)
    return settings.database.rsplit("/", 1)[1]


@pytest.fixture
def fleet_database(postgres: Postgres, migrated: str) -> Iterator[str]:
    """The SQLAlchemy URL of a migrated database of this test's own, on PostgreSQL."""
    url = postgres.create(migrated)
    yield Settings(database=url).database_url
    postgres.drop(url)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A running S3 server for all tests; each makes buckets of its own in it, and ends the faults that it begins."""
    server = S3Server().start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Eileen Collins, uint8 [512, 512, 3]; public domain."""
    import skimage.data

    return np.asarray(skimage.data.astronaut())


@pytest.fixture
def photos(astronaut: NDArray[np.uint8], tmp_path: Path) -> list[Path]:
    """Three good photos of one person, as JPEG files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pictures = {"one": astronaut, "two": astronaut[:, ::-1], "three": astronaut[0:360, 50:410]}
    for name, picture in pictures.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{name}.jpg", quality=95)
    return [folder / f"{name}.jpg" for name in pictures]


@pytest.fixture(scope="session")
def build_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Build a project folder's wheel without the network."""

    def build(project: Path) -> Path:
        out = tmp_path_factory.mktemp("wheel")
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        [wheel] = out.glob("*.whl")
        return wheel

    return build


@pytest.fixture(scope="session")
def fresh_python(build_wheel: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's Python with the built wheels of Likeness and of the foreign pack in it."""
    wheels = [build_wheel(project) for project in (ROOT, ROOT / "tests" / "foreign_pack")]
    return environment(tmp_path_factory.mktemp("fresh") / "venv", wheels)


@pytest.fixture(scope="session")
def moderated_python(
    build_wheel: Callable[[Path], Path], astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with the example of moderation, whose list has the mirrored astronaut on it."""
    from likeness.photos import crop_face

    project = tmp_path_factory.mktemp("moderation") / "example_blocklist"
    shutil.copytree(ROOT / "plugins" / "example_blocklist", project)
    sys.path.insert(0, str(project))
    try:
        from likeness_blocklist import fingerprint  # type: ignore[import-not-found, unused-ignore]
    finally:
        sys.path.remove(str(project))
    blocked = fingerprint(crop_face(np.ascontiguousarray(astronaut[:, ::-1])).pixels)
    with (project / "likeness_blocklist" / "blocked.txt").open("a") as listing:
        listing.write(f"{blocked:016x}\n")
    return environment(tmp_path_factory.mktemp("moderated") / "venv", [build_wheel(ROOT), build_wheel(project)])


def environment(folder: Path, wheels: list[Path]) -> Path:
    """A virtual environment with wheels in it; answers its Python.

    The dependencies are this environment's own, through a .pth file; the wheels come first on the path, and the
    editable install of this checkout does not reach it, since .pth files of another folder are not read.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(packages)]
    subprocess.run([*install, *map(str, wheels)], check=True, capture_output=True)
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"
