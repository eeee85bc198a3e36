// Everything a driver asks of an instance, and the checks that need none.
#pragma once

#include <nanobind/nanobind.h>

namespace penstock::python {

void BindControl(nanobind::module_& module);

}  // namespace penstock::python
