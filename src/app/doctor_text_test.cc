#include "app/doctor_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::app {
namespace {

using testing::HasSubstr;

detect::Detected Machine() {
  return {.cpus = {.count = 2, .derivation = "affinity 8, quota 2.5 -> 2"},
          .memory = {.total_bytes = 4LL << 30, .available_bytes = 3LL << 30},
          .accelerators = {{.resource = "GPU",
                            .vendor = "nvidia",
                            .type = "A100",
                            .devices = {{"", "NVIDIA A100", 40ULL << 30, 1}, {"MIG-b", "", 0, -1}},
                            .derivation = "1 x NVIDIA A100 by NVML"}}};
}

TEST(DoctorText, SaysWhatThereIsAndHowItWasFound) {
  EXPECT_EQ(DoctorText(Machine()),
            "CPU           2           affinity 8, quota 2.5 -> 2\n"
            "memory        3.0 GiB     free of 4.0 GiB\n"
            "GPU           2           1 x NVIDIA A100 by NVML, accelerator_type:A100\n"
            "  0  NVIDIA A100  40.0 GiB  NUMA node 1\n"
            "  MIG-b\n");
  EXPECT_THAT(DoctorText({}), HasSubstr("accelerators  none"));
}

TEST(DoctorText, IsThereForPrograms) {
  const auto json = DoctorJson(Machine());
  EXPECT_EQ(json.at("cpus").at("count"), 2);
  EXPECT_EQ(
      json.at("accelerators").at(0).at("devices").at(1),
      nlohmann::json({{"id", "MIG-b"}, {"name", ""}, {"memory_bytes", 0}, {"numa_node", -1}}));
}

}  // namespace
}  // namespace penstock::app
