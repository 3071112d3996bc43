"""A batch system for the workers of dask: dask-jobqueue with a stand-in for SLURM's programs."""

import pytest

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.workflows.cohort import classify_cohort
from cfzoo.workflows.cohort.cluster_file import ClusterFile

GOOD = "cluster: SLURMCluster\njobs: 1\noptions: {cores: 1, memory: 1GB, interface: lo}\n"


def write(folder, text):
    path = folder / "cluster.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cluster: SLURMCluster",
        "cluster: 3\njobs: 1",
        "cluster: SLURMCluster\njobs: 0",
        "cluster: SLURMCluster\njobs: 1\noptions: [1]",
        "cluster: SLURMCluster\njobs: 1\nworkers: 1",
        "cluster: [",
    ],
)
def test_a_wrong_file_is_refused_before_anything_runs(cohort, text):
    path = write(cohort, text)
    with pytest.raises(InputError, match=r"cluster\.yaml"):
        classify_cohort(cohort / "table.csv", cohort / "out", dask=str(path))
    assert not (cohort / "out").exists()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        ClusterFile.read(tmp_path / "none.yaml")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Folder of the stand-ins: sbatch runs the script in the background, scancel ends it."""
    pytest.importorskip("dask_jobqueue", reason="pip install 'cfzoo[jobqueue]'")
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {
        # The file of the script is gone when sbatch returns.
        "sbatch": 'cp "$1" job.sh; setsid sh job.sh >job.log 2>&1 </dev/null &\n'
        'echo "Submitted batch job $!"',
        "scancel": 'kill -- "-$1" 2>/dev/null; true',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.slow
def test_jobs_write_the_files_of_one_process(cohort, slurm):
    classify_cohort(cohort / "table.csv", cohort / "here")
    result = classify_cohort(cohort / "table.csv", cohort / "out", dask=str(write(cohort, GOOD)))
    assert not result.failures
    for record in result.records:
        for name in ("points.xml", "points.csv"):
            expected = (cohort / "here" / record.name / name).read_bytes()
            assert (cohort / "out" / record.name / name).read_bytes() == expected


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (("SLURMCluster", "SlurmCluster"), InputError, "expected one of .*SLURMCluster"),
        (("cores", "colours"), InputError, "does not take"),
        (("SLURMCluster", "LSFCluster"), EnvironmentProblem, "'bsub', which is not on"),
    ],
)
def test_what_cannot_work_says_so(tmp_path, slurm, change, error, words):
    file = ClusterFile.read(write(tmp_path, GOOD.replace(*change)))
    with pytest.raises(error, match=words), file.start():
        pass


@pytest.mark.slow
def test_a_queue_that_takes_no_job_does_not_wait_for_ever(tmp_path, slurm, monkeypatch):
    monkeypatch.setattr("cfzoo.workflows.cohort.cluster_file.SUBMISSION_SECONDS", 3)
    (slurm / "sbatch").write_text("#!/bin/sh\necho no such partition >&2; exit 1\n")
    file = ClusterFile.read(write(tmp_path, GOOD))
    with pytest.raises(EnvironmentProblem, match="'sbatch' has accepted no job"), file.start():
        pass
