"""The script for SLURM in the documentation, submitted to a real SLURM of one node."""

import os
import shutil
import socket
import subprocess
import time

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "munged", "mungekey")
PATH = f"{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)} (slurm-wlm, munge)"),
    pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="slurmd needs root"),
]
# The node has the CPUs that the script asks for, whatever the computer has.
CONF = """
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Folder of a SLURM of one node on the loopback interface; it is stopped at the end."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, ports=ports))
    key, munge = folder / "munge.key", folder / "munge"
    subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
    words = [f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={munge}.pid"]
    words += [f"--log-file={munge}.log", f"--seed-file={munge}.seed", "--foreground", "--force"]
    daemons = []
    try:
        for command in (["munged", *words], ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-c"]):
            log = (folder / f"{command[0]}.out").open("w")
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
            time.sleep(2)
        wait(lambda: "idle" in output("sinfo", "--noheader", "--format=%t"), folder)
        yield folder
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def output(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, **options).stdout.strip()


def wait(is_done, folder, seconds=600):
    end = time.monotonic() + seconds
    while not is_done():
        logs = [path.read_text(errors="replace")[-800:] for path in folder.glob("*.log")]
        assert time.monotonic() < end, logs
        time.sleep(0.5)


def test_the_array_and_the_gathering_give_the_results(slurm, desk, script_of):
    (desk.folder / "job.sh").write_text(script_of("bash", "#!/bin/bash"))
    options = {"cwd": desk.folder, "env": os.environ | {"PATH": desk.environment["PATH"]}}
    # So many tasks are enough; the option goes before that of the script.
    job = output("sbatch", "--parsable", "--array=1-2", "job.sh", **options)
    after = f"--dependency=afterok:{job}"
    output("sbatch", after, "--output=gather.out", "--wrap", "cfzoo gather spread", **options)
    wait(lambda: not output("squeue", "--noheader", **options), slurm)
    texts = [path.read_text() for path in sorted(desk.folder.glob("slurm-*.out"))]
    assert len(texts) == 2 and all(text.startswith("shard ") for text in texts), texts
    assert "points:" in (desk.folder / "gather.out").read_text()
    assert (desk.folder / "spread" / "points.csv").read_bytes() == desk.plain_run()


def test_dask_submits_its_workers(slurm, desk):
    """`cfzoo cohort --dask FILE.yaml`, with jobs of this SLURM."""
    pytest.importorskip("dask_jobqueue", reason="pip install 'cfzoo[jobqueue]'")
    (desk.folder / "table.csv").write_text("volume,points,voxel_size\nbrain.tif,cells.xml,5 2 2\n")
    (desk.folder / "cluster.yaml").write_text(
        "cluster: SLURMCluster\njobs: 2\n"
        "options: {cores: 1, memory: 1GB, walltime: '00:10:00', interface: lo}\n"
    )
    words = ("cfzoo", "cohort", "table.csv", "-o", "cohort", "--dask", "cluster.yaml")
    options = {"cwd": desk.folder, "env": os.environ | {"PATH": desk.environment["PATH"]}}
    done = subprocess.run(words, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    assert (desk.folder / "cohort" / "brain" / "points.csv").read_bytes() == desk.plain_run()
