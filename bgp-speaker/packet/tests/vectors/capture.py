#!/usr/bin/env python3
"""Makes the vectors of this folder: runs real speakers against each other and keeps their bytes.

Needs root, ip, tcpdump, bird, /usr/lib/frr/{zebra,bgpd} and gobgpd. Everything happens in two
network namespaces with names of this run, which are removed at the end. See README.md.
"""

import ipaddress
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FRR = pathlib.Path("/usr/lib/frr")
A4, B4, A6, B6 = "10.9.0.1", "10.9.0.2", "fd00:9::1", "fd00:9::2"

BIRD = """
router id 10.9.0.1;
protocol device {{ }}
protocol static v4 {{ ipv4;
    route 192.0.2.0/24 blackhole; route 192.0.2.128/25 blackhole; route 0.0.0.0/0 blackhole; }}
protocol static v6 {{ ipv6; route 2001:db8:1::/48 blackhole; route 2001:db8::1/128 blackhole; }}
filter out4 {{
    if net = 0.0.0.0/0 then reject;
    if net = 192.0.2.0/24 then {{
        bgp_community.add((65001, 100)); bgp_community.add((65535, 65281));
        bgp_large_community.add((65001, 1, 4200000000));
        bgp_ext_community.add((rt, 65001, 7));
        bgp_med = 50;
        bgp_path.prepend(4200000001);
    }}
    accept;
}}
protocol bgp peer {{
    local {local} as 65001; neighbor {remote} as 65002;
    graceful restart on; enable route refresh on; {options}
    ipv4 {{ import all; export filter out4; {v4} }};
    ipv6 {{ import all; export where source = RTS_STATIC; {v6} }};
}}
"""

FRR_CONFIG = """
log file {log}
router bgp 65002
 bgp router-id 10.9.0.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 bgp graceful-restart
 neighbor {remote} remote-as 65001
 neighbor {remote} timers 5 15
 neighbor {remote} advertisement-interval 0
 {options}
 address-family ipv4 unicast
  network 198.51.100.0/24
  network 203.0.113.7/32
  neighbor {remote} activate
  neighbor {remote} route-map OUT out
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:2::/48
  neighbor {remote} activate
  neighbor {remote} route-map OUT out
 exit-address-family
exit
ip prefix-list MARKED permit 198.51.100.0/24
route-map OUT permit 10
 match ip address prefix-list MARKED
 set community 65002:200 no-peer
 set large-community 65002:1:2
 set extcommunity rt 65002:9
 set metric 70
 set origin incomplete
 set as-path prepend 65002 4200000002
 set aggregator as 65002 10.9.0.2
 set atomic-aggregate
exit
route-map OUT permit 20
exit
"""

GOBGP = """
[global.config]
  as = 65002
  router-id = "10.9.0.2"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{remote}"
    peer-as = 65001
  [neighbors.timers.config]
    hold-time = 30
    keepalive-interval = 10
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 120
    notification-enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"""


class Lab:
    """Two namespaces and a veth; what was started ends with it."""

    def __init__(self):
        self.a, self.b = (f"vec{os.getpid()}{side}" for side in "ab")
        self.processes = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="vectors"))

    def __enter__(self):
        for ns in (self.a, self.b):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", self.a, "type", "veth",
            "peer", "name", "eth0", "netns", self.b)
        for ns, v4, v6 in ((self.a, A4, A6), (self.b, B4, B6)):
            # The same link-local addresses in every run.
            run("ip", "-n", ns, "link", "set", "eth0", "address", f"02:00:00:00:00:0{v4[-1]}")
            run("ip", "-n", ns, "addr", "add", f"{v4}/24", "dev", "eth0")
            run("ip", "-n", ns, "addr", "add", f"{v6}/64", "dev", "eth0", "nodad")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
        for ns in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", ns], check=False)
        subprocess.run(["rm", "-r", str(self.dir)], check=False)

    def start(self, ns, *command):
        log = open(self.dir / f"log{len(self.processes)}", "wb")
        process = subprocess.Popen(["ip", "netns", "exec", ns, *map(str, command)],
                                   stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def file(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def bird(self, **values):
        config = self.file("bird.conf", BIRD.format(**values))
        self.start(self.a, "bird", "-f", "-c", config, "-s", self.dir / "bird.ctl")

    def birdc(self, *command):
        run("birdc", "-s", self.dir / "bird.ctl", *command)

    def frr(self, **values):
        config = self.file("bgpd.conf", FRR_CONFIG.format(log=self.dir / "bgpd.log", **values))
        socket = self.dir / "zserv.api"
        # FRR gives up root for its own user.
        shutil.chown(self.dir, "frr", "frr")
        common = ["-z", socket, "--vty_socket", self.dir]
        empty = self.file("zebra.conf", "")
        self.start(self.b, FRR / "zebra", *common, "-f", empty, "-i", self.dir / "zebra.pid")
        time.sleep(1)
        self.start(self.b, FRR / "bgpd", *common, "-f", config, "-i", self.dir / "bgpd.pid")

    def vtysh(self, *lines):
        commands = [part for line in lines for part in ("-c", line)]
        run("vtysh", "--vty_socket", self.dir, *commands)

    def gobgpd(self, **values):
        config = self.file("gobgpd.toml", GOBGP.format(**values))
        self.start(self.b, "gobgpd", "-t", "toml", "-f", config)

    def gobgp(self, *command):
        run("ip", "netns", "exec", self.b, "gobgp", *command)


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def ends(v6):
    a, b = (A6, B6) if v6 else (A4, B4)
    return {"local": a, "remote": b}, {"remote": a}


def bird_and_frr(lab, v6, bird_options="", frr_options="", v4="", more=()):
    bird, frr = ends(v6)
    lab.bird(**bird, options=bird_options, v4=v4, v6="")
    lab.frr(**frr, options=frr_options.format(remote=frr["remote"]))
    time.sleep(8)
    lab.vtysh("clear bgp * in")
    time.sleep(1)
    lab.vtysh("configure terminal", "router bgp 65002", "address-family ipv4 unicast",
              "no network 203.0.113.7/32", "exit-address-family",
              "address-family ipv6 unicast", "no network 2001:db8:2::/48")
    lab.birdc("disable", "v4")
    lab.birdc("disable", "v6")
    time.sleep(2)
    lab.vtysh("configure terminal", "router bgp 65002",
              f"neighbor {frr['remote']} shutdown message maintenance at noon")
    time.sleep(2)


def ipv4_session(lab):
    bird_and_frr(lab, False)


def ipv6_session(lab):
    # FRR offers RFC 8950 by itself on IPv6 sessions.
    bird_and_frr(lab, True, v4="extended next hop on;",
                 frr_options="neighbor {remote} capability extended-nexthop")


def two_octet_session(lab):
    bird_and_frr(lab, False, bird_options="enable as4 off;")


def gobgp_session(lab):
    bird, gobgp = ends(False)
    lab.bird(**bird, options="", v4="", v6="")
    lab.gobgpd(**gobgp)
    time.sleep(2)
    lab.gobgp("global", "rib", "add", "198.51.100.0/24", "origin", "egp", "med", "9",
              "community", "65002:1,no-export", "large-community", "65002:3:4")
    lab.gobgp("global", "rib", "add", "-a", "ipv6", "2001:db8:3::/48", "nexthop", B6)
    time.sleep(10)
    lab.gobgp("neighbor", A4, "softresetin")
    lab.gobgp("global", "rib", "del", "198.51.100.0/24")
    lab.gobgp("global", "rib", "del", "-a", "ipv6", "2001:db8:3::/48")
    time.sleep(1)
    lab.birdc("disable", "peer")
    time.sleep(2)


def wrong_asn(lab):
    bird, frr = ends(False)
    lab.bird(**bird, options="", v4="", v6="")
    lab.frr(**frr, options="neighbor 10.9.0.1 remote-as 64999")
    time.sleep(8)


def packets(pcap):
    """TCP segments of a capture of Ethernet frames: (stream, sequence, SYN, payload)."""
    data = pcap.read_bytes()[24:]
    while data:
        _, _, length, _ = struct.unpack("<IIII", data[:16])
        frame, data = data[16:16 + length], data[16 + length:]
        kind = struct.unpack(">H", frame[12:14])[0]
        ip = frame[14:]
        if kind == 0x0800:
            tcp = ip[(ip[0] & 15) * 4:struct.unpack(">H", ip[2:4])[0]]
            source = ipaddress.ip_address(ip[12:16])
        else:
            tcp = ip[40:40 + struct.unpack(">H", ip[4:6])[0]]
            source = ipaddress.ip_address(ip[8:24])
        sport, dport, seq = struct.unpack(">HHI", tcp[:8])
        yield (str(source), sport, dport), seq, bool(tcp[13] & 2), tcp[(tcp[12] >> 4) * 4:]


def messages(pcap):
    """The BGP messages of each sender, connection after connection."""
    streams = {}
    for stream, seq, syn, payload in packets(pcap):
        start, parts = streams.setdefault(stream, [None, {}])
        if syn:
            streams[stream][0] = seq + 1
        elif payload and start is not None:
            parts[(seq - start) % 2**32] = payload
    result = {}
    for (source, _, _), (_, parts) in streams.items():
        stream = b""
        for at in sorted(parts):
            stream += parts[at][max(0, len(stream) - at):]
        out = result.setdefault(source, [])
        while len(stream) >= 19:
            length = struct.unpack(">H", stream[16:18])[0]
            out.append(stream[:length])
            stream = stream[length:]
    return result


def capture(name, scenario, a_name, b_name, only=None):
    with Lab() as lab:
        pcap = lab.dir / "out.pcap"
        dump = lab.start(lab.a, "tcpdump", "-i", "eth0", "-U", "-w", pcap, "-Z", "root",
                         "tcp port 179")
        time.sleep(1)
        try:
            scenario(lab)
        except BaseException:
            for log in sorted(lab.dir.glob("*log*")):
                print(log.name, log.read_text(errors="replace")[-2000:], file=sys.stderr)
            raise
        dump.send_signal(signal.SIGINT)
        time.sleep(0.5)
        for source, found in messages(pcap).items():
            speaker = a_name if source in (A4, A6) else b_name
            path = HERE / f"{name}.{speaker}.hex"
            lines, seen = [], set()
            for message in found:
                # One KEEPALIVE is like the other; so is an attempt that is repeated.
                if message not in seen:
                    seen.add(message)
                    lines.append(message.hex())
            path.write_text("\n".join(lines) + "\n")
            print(path.name, len(lines), "messages")


def main():
    capture("ipv4-session", ipv4_session, "bird", "frr")
    capture("ipv6-session", ipv6_session, "bird", "frr")
    capture("two-octet-session", two_octet_session, "bird", "frr")
    capture("gobgp-session", gobgp_session, "bird", "gobgp")
    capture("wrong-asn", wrong_asn, "bird", "frr")


if __name__ == "__main__":
    main()
