// A forked process as others see it.
#pragma once

#include "convert.h"

namespace penstock::python {

void BindProcess(nb::module_& module);

}  // namespace penstock::python
