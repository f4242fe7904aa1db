#!/usr/bin/env bash
# Installs the programs that the system tests drive: SIP phones and load makers
# nobody here wrote, what builds networks, the firewalls that the shield is
# measured against, a browser, the C compiler that go test -race links with and the
# one that make gen makes kernel programs with. Says what it does and does nothing
# when all is there. Needs apt (Debian 12, Ubuntu 22.04 or later).
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin

# A program that proves a package, and the package.
wanted='
sipp:sip-tester
baresip:baresip-core
/usr/lib/baresip/modules/sndfile.so:baresip-core
/usr/lib/baresip/modules/aufile.so:baresip-core
nft:nftables
ip:iproute2
tcpdump:tcpdump
sox:sox
espeak-ng:espeak-ng
kamailio:kamailio
/usr/share/doc/kamailio-lwsc-modules:kamailio-lwsc-modules
rtpengine:rtpengine-daemon
setpriv:util-linux
gcc:gcc
clang:clang
llvm-strip:llvm
ipset:ipset
iptables:iptables
ethtool:ethtool
chromium:chromium
/usr/include/stdio.h:libc6-dev
git:git
'
missing=''
for pair in $wanted; do
	program=${pair%%:*} package=${pair##*:}
	if [ -e "$program" ] || command -v "$program" >/dev/null; then continue; fi
	case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
# PostgreSQL keeps its tools off the PATH.
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
	missing="$missing postgresql"
fi
if [ -z "$missing" ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
	echo "install-test-tools: no apt-get here; install by hand:$missing" >&2
	exit 1
fi
sudo=''
if [ "$(id -u)" != 0 ]; then
	sudo='sudo -n'
	[ -t 0 ] && sudo='sudo'
	command -v sudo >/dev/null || { echo "install-test-tools: not root and no sudo; as root: apt-get install --no-install-recommends$missing" >&2; exit 1; }
fi
echo "install-test-tools: installing$missing"

# The packages of servers start them when installed. A policy-rc.d that says 101
# (never) keeps kamailio and PostgreSQL from taking ports of this machine; the
# tests start their own. One that was there already is put back.
policy=/usr/sbin/policy-rc.d
kept=''
restore() {
	$sudo rm -f "$policy"
	if [ -n "$kept" ]; then $sudo mv "$kept" "$policy"; fi
}
if [ -e "$policy" ]; then
	kept=$policy.lindero-$$
	$sudo mv "$policy" "$kept"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
$sudo chmod 755 "$policy"

apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -y -q "$@"; }
apt update || echo "install-test-tools: apt-get update failed; trying with the lists that are here" >&2
# shellcheck disable=SC2086
apt install --no-install-recommends $missing
