// `penstock doctor`.
#include <cstdio>
#include <memory>

#include "app/doctor_text.h"
#include "app/verbs.h"
#include "base/environment.h"

namespace penstock::app {

void AddDoctor(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("doctor", "What a node started here would have, and why");
  const auto as_json = std::make_shared<bool>(false);
  verb->add_flag("--json", *as_json, "For programs");
  verb->callback([as_json, &chosen] {
    chosen = [as_json] {
      const auto detected = detect::DetectNode(base::AllEnv());
      std::printf("%s", *as_json ? (DoctorJson(detected).dump(2) + "\n").c_str()
                                 : DoctorText(detected).c_str());
      return 0;
    };
  });
}

}  // namespace penstock::app
