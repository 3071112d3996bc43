import pytest

from cfzoo.cli import main


@pytest.fixture
def cfzoo(capsys):
    """Run a verb in this process: (exit code, standard output, standard error)."""

    def run(*args):
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in args])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run
