#include <cstdio>
#include <cstdlib>

#include "app/roles.h"
#include "base/environment.h"
#include "base/loop.h"
#include "base/progress_page.h"
#include "replica/host.h"
#include "replica/library_code.h"

namespace penstock::app {

int RunReplica() {
  auto loop = base::Loop::Create();
  if (!loop.ok()) {
    std::fprintf(stderr, "penstock replica: %s\n", loop.status().message().c_str());
    return 1;
  }
  const int control = std::atoi(base::GetEnv("PENSTOCK_CONTROL_FD", "-1").c_str());
  if (control < 0) {
    std::fprintf(stderr, "penstock replica: started by hand? PENSTOCK_CONTROL_FD is not set\n");
    return 2;
  }
  auto page = base::ProgressPage::Open(
      base::UniqueFd(std::atoi(base::GetEnv("PENSTOCK_PAGE_FD", "-1").c_str())));
  if (!page.ok()) {
    std::fprintf(stderr, "penstock replica: %s\n", page.status().message().c_str());
    return 1;
  }
  replica::LibraryCode code;
  const replica::Host host(**loop, base::UniqueFd(control), *std::move(page), code,
                           [&] { (*loop)->Stop(); });
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
