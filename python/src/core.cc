// The extension `penstock._core`: glue, no logic.
#include "control.h"
#include "handle.h"
#include "loop.h"
#include "policy_host.h"
#include "process.h"
#include "replica.h"
#include "router_host.h"

NB_MODULE(_core, module) {
  module.doc() = "Penstock's native part: loop, router, replica runtime, control calls.";
  // A driver may end while calls are under way; what they hold is the operating system's then.
  nanobind::set_leak_warnings(false);
  penstock::python::BindLoop(module);
  penstock::python::BindHandle(module);
  penstock::python::BindReplica(module);
  penstock::python::BindRouterHost(module);
  penstock::python::BindPolicyHost(module);
  penstock::python::BindControl(module);
  penstock::python::BindProcess(module);
}
