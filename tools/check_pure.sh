#!/usr/bin/env bash
# The linker's word that the pure core is pure: no clock, thread, lock, file, socket, environment
# or chance among the symbols that LIB asks others for. tools/check_rooms.py reads the sources
# for the same; this sees what headers and libraries drag in.
#
#   tools/check_pure.sh LIB            prints each offender, by object file; exit 1 if any
#   tools/check_pure.sh --self-test    compiles code that breaks each rule: all must be found
set -euo pipefail

clocks='clock_gettime|clock_nanosleep|gettimeofday|time|ftime|localtime(_r)?|nanosleep|u?sleep|timer(fd)?_[a-z]+'
files='open(at)?(64)?|f(d|re)?open(64)?|p?(read|write)(v|64)?|stat(x|64)?|[fl]stat(64)?|unlink(at)?|opendir|mmap(64)?|ioctl|popen'
sockets='socket(pair)?|connect|bind|listen|accept4?|(send|recv)(to|from|msg|mmsg)?|getaddrinfo|e?poll[a-z_0-9]*|select|eventfd'
threads='pthread_(create|join|mutex_[a-z]+|cond_[a-z]+|rwlock_[a-z]+)|fork|vfork|execv[a-z]*|posix_spawnp?|system|kill'
chance='getrandom|getentropy|s?rand(om)?(_r)?|[dlmn]rand48'
environment='(secure_)?getenv|setenv|putenv|getpid|gethostname|sysconf|sched_[a-z]+'
# Demangled C++: whole families by their classes.
classes='std::chrono::.*::now|std::random_device|std::(this_)?thread|std::mutex|std::condition_variable|std::basic_(filebuf|[io]?fstream)|std::filesystem|std::c(out|err|in|log)$|spdlog|penstock::base::'

offenders() {
  nm --print-file-name --undefined-only --demangle "$1" |
    grep -E " U ($clocks|$files|$sockets|$threads|$chance|$environment)\$| U ($classes)" || true
}

check() {
  [ -f "$1" ] || { echo "check_pure.sh: no $1" >&2; return 2; }
  local found
  found=$(offenders "$1")
  if [ -n "$found" ]; then
    sed 's/^/not pure: /' <<<"$found"
    return 1
  fi
  echo "pure: $(basename "$1")"
}

self_test() {
  local work status=0
  work=$(mktemp -d)
  cat >"$work/impure.cc" <<'CODE'
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>
#include <fcntl.h>
#include <sys/socket.h>
long Clock() { return std::time(nullptr) + std::chrono::steady_clock::now().time_since_epoch().count(); }
void* File() { return std::fopen("f", "r"); }
int Descriptor() { return open("f", O_RDONLY); }
std::ifstream Stream() { return std::ifstream("f"); }
int Socket() { return socket(AF_UNIX, SOCK_STREAM, 0); }
void Thread() { std::thread([] {}).join(); }
void Wait(std::mutex& m) { m.lock(); }
unsigned Chance() { return std::random_device()() + static_cast<unsigned>(std::rand()); }
char* Environment() { return std::getenv("A"); }
CODE
  echo '#include <string>
std::string Twice(const std::string& s) { return s + s; }' >"$work/pure.cc"
  local name
  for name in impure pure; do
    "${CXX:-c++}" -std=c++20 -O1 -c "$work/$name.cc" -o "$work/$name.o"
    ar rc "$work/$name.a" "$work/$name.o"
  done
  local found
  found=$(offenders "$work/impure.a")
  for name in time std::chrono::_V2::steady_clock::now fopen open socket std::thread:: \
    pthread_mutex_lock std::random_device:: rand getenv 'std::basic_filebuf<'; do
    grep -qF " U $name" <<<"$found" || { echo "self-test: missed $name"; status=1; }
  done
  check "$work/impure.a" >/dev/null && { echo "self-test: impure.a passed"; status=1; }
  check "$work/pure.a" >/dev/null || { echo "self-test: pure.a did not pass"; status=1; }
  rm -rf "$work"
  return $status
}

if [ "${1:-}" = --self-test ]; then self_test; else check "${1:?usage: check_pure.sh LIB}"; fi
