"""Run verbs in this process, on the sample."""

import pytest

from cfzoo.cli import main


@pytest.fixture
def cfzoo(capsys):
    """Return a function that runs a verb: (exit code, standard output, standard error)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_info.value.code, out, err

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The files of `cfzoo sample`, as arguments of a fast classification."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.raises(SystemExit):
        main(["sample", str(folder), "--overwrite"])
    return [folder / "signal.tif", folder / "candidates.xml", "--model", "pipnet3d"]
