#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "detect/accelerators.h"
#include "detect/cpus.h"
#include "detect/devices.h"
#include "detect/memory.h"
#include "detect/node_totals.h"

namespace penstock::detect {
namespace {

// Files of a made-up machine, below a folder that stands for "/".
using Tree = std::vector<std::pair<std::string, std::string>>;

class DetectTest : public testing::Test {
 protected:
  DetectTest() {
    std::string name = testing::TempDir() + "penstock_detect_XXXXXX";
    root_ = std::string(::mkdtemp(name.data())) + "/";
  }
  ~DetectTest() override { base::RemoveTree(root_); }

  void Make(const Tree& files) {
    for (const auto& [path, content] : files) {
      ASSERT_TRUE(base::MakeDirs(root_ + path.substr(0, path.rfind('/'))).ok());
      ASSERT_TRUE(base::WriteFileAtomic(root_ + path, content).ok());
    }
  }

  std::string root_;
};

struct CpuCase {
  const char* name;
  Tree tree;
  int affinity;
  int expected;
};

class CpuTree : public DetectTest, public testing::WithParamInterface<CpuCase> {};

TEST_P(CpuTree, GivesWhatMayBeUsed) {
  Make(GetParam().tree);
  const Cpus cpus = DetectCpus(root_, GetParam().affinity);
  EXPECT_EQ(cpus.count, GetParam().expected) << cpus.derivation;
}

const std::pair<std::string, std::string> kV2{"sys/fs/cgroup/cgroup.controllers", "cpu memory\n"};

INSTANTIATE_TEST_SUITE_P(
    Recorded, CpuTree,
    testing::Values(
        CpuCase{"no_cgroup", {}, 8, 8},
        CpuCase{"v2_no_limit",
                {kV2, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "max 100000\n"}},
                8,
                8},
        CpuCase{"v2_quota",
                {kV2, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "250000 100000\n"}},
                8,
                2},
        CpuCase{"v2_quota_below_one",
                {kV2, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "50000 100000\n"}},
                8,
                1},
        CpuCase{"v2_quota_of_a_parent",
                {kV2,
                 {"proc/self/cgroup", "0::/pod/c\n"},
                 {"sys/fs/cgroup/pod/c/cpu.max", "max 100000\n"},
                 {"sys/fs/cgroup/pod/cpu.max", "300000 100000\n"}},
                8,
                3},
        CpuCase{"v2_cpuset",
                {kV2,
                 {"proc/self/cgroup", "0::/c\n"},
                 {"sys/fs/cgroup/c/cpuset.cpus.effective", "0-1,6\n"}},
                8,
                3},
        CpuCase{"v2_path_of_the_host",
                {kV2,
                 {"proc/self/cgroup", "0::/../../kubepods/x\n"},
                 {"sys/fs/cgroup/cpu.max", "400000 100000\n"}},
                8,
                4},
        CpuCase{"v1_quota",
                {{"proc/self/cgroup", "4:cpu,cpuacct:/d\n"},
                 {"sys/fs/cgroup/cpu/d/cpu.cfs_quota_us", "200000\n"},
                 {"sys/fs/cgroup/cpu/d/cpu.cfs_period_us", "100000\n"}},
                8,
                2},
        CpuCase{"v1_no_quota",
                {{"proc/self/cgroup", "4:cpu,cpuacct:/\n"},
                 {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                 {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
                8,
                8},
        CpuCase{
            "v1_cpuset",
            {{"proc/self/cgroup", "3:cpuset:/\n"}, {"sys/fs/cgroup/cpuset/cpuset.cpus", "4-5\n"}},
            8,
            2},
        CpuCase{"affinity_is_least",
                {kV2, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "800000 100000\n"}},
                2,
                2}),
    [](const auto& test) { return test.param.name; });

TEST_F(DetectTest, MemoryIsTheLeastOfMachineAndCgroups) {
  Make({{"proc/meminfo", "MemTotal: 16000 kB\nMemFree: 1 kB\nMemAvailable: 12000 kB\n"}});
  EXPECT_EQ(DetectMemory(root_).total_bytes, 16000 * 1024);
  EXPECT_EQ(DetectMemory(root_).available_bytes, 12000 * 1024);
  Make({kV2,
        {"proc/self/cgroup", "0::/a/b\n"},
        {"sys/fs/cgroup/a/b/memory.max", "max\n"},
        {"sys/fs/cgroup/a/memory.max", "8192000\n"},
        {"sys/fs/cgroup/a/memory.current", "2048000\n"}});
  EXPECT_EQ(DetectMemory(root_).total_bytes, 8192000);
  EXPECT_EQ(DetectMemory(root_).available_bytes, 6144000);
}

TEST_F(DetectTest, MemoryLimitsOfV1Count) {
  Make({{"proc/meminfo", "MemTotal: 16000 kB\nMemAvailable: 12000 kB\n"},
        {"proc/self/cgroup", "5:memory:/m\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"sys/fs/cgroup/memory/m/memory.limit_in_bytes", "4096000\n"},
        {"sys/fs/cgroup/memory/m/memory.usage_in_bytes", "5000000\n"}});
  EXPECT_EQ(DetectMemory(root_).total_bytes, 4096000);
  EXPECT_EQ(DetectMemory(root_).available_bytes, 0);
}

TEST(AffinityCpus, IsAtLeastOne) { EXPECT_GE(AffinityCpus(), 1); }

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

TEST(NodeTotals, DetectsWhatIsNotSaid) {
  const Detected detected{
      .cpus = {.count = 6},
      .memory = {.total_bytes = 2000, .available_bytes = 1000},
      .accelerators = {
          {.resource = "GPU", .vendor = "nvidia", .type = "A100", .devices = {{}, {}}}}};
  const auto totals = NodeTotals({}, {}, detected, "127.0.0.1", true);
  EXPECT_EQ(*totals, (resources::ResourceSet{{"CPU", Q(6)},
                                             {"GPU", Q(2)},
                                             {"accelerator_type:A100", Q(1)},
                                             {"memory", Q(700)},
                                             {"object_store_memory", Q(300)},
                                             {"node:127.0.0.1", Q(1)},
                                             {"node:__internal_head__", Q(1)}}));
}

TEST(NodeTotals, TakesWhatIsSaidAndOverridesWin) {
  const auto totals = NodeTotals({.num_cpus = 64,
                                  .num_gpus = 2,
                                  .memory = 10,
                                  .object_store_memory = 5,
                                  .resources = {{"widget", 4}}},
                                 {{"CPU", 3}, {"extra", 1}},
                                 {.accelerators = {{.resource = "GPU", .devices = {{}}},
                                                   {.resource = "TPU", .devices = {{}}}}},
                                 "127.0.0.2", false);
  EXPECT_EQ(*totals, (resources::ResourceSet{{"CPU", Q(3)},
                                             {"GPU", Q(2)},
                                             {"memory", Q(10)},
                                             {"object_store_memory", Q(5)},
                                             {"TPU", Q(1)},
                                             {"widget", Q(4)},
                                             {"extra", Q(1)},
                                             {"node:127.0.0.2", Q(1)}}));
}

TEST(NodeTotals, RefusesFractionsNegativesAndReservedNames) {
  const auto refused = [](const DeclaredResources& declared) {
    return NodeTotals(declared, {}, {}, "127.0.0.1", true).status().message();
  };
  EXPECT_EQ(refused({.resources = {{"foo", 1.5}}}),
            "Resource quantities must all be whole numbers. Violated by resource 'foo'.");
  EXPECT_NE(refused({.num_cpus = -1}), "");
  EXPECT_NE(refused({.resources = {{"GPU", 1}}}), "");
  EXPECT_NE(refused({.resources = {{"memory", 1}}}), "");
  EXPECT_NE(refused({.resources = {{"node:__internal_head__", 1}}}), "");
}

struct DeviceCase {
  const char* name;
  std::pair<const char*, int> declared;
  base::Environment environment;
  std::vector<std::string> ids;
};

class NameDevicesTest : public testing::TestWithParam<DeviceCase> {};

TEST_P(NameDevicesTest, TakesTheVariablesOfTheFamily) {
  const auto& [name, declared, environment, ids] = GetParam();
  const auto visible = NameDevices({{declared.first, Q(declared.second)}}, environment);
  ASSERT_TRUE(visible.ok()) << visible.status().message();
  const auto named = visible->ids.find(declared.first);
  EXPECT_EQ(named == visible->ids.end() ? std::vector<std::string>() : named->second, ids);
}

INSTANTIATE_TEST_SUITE_P(
    Families, NameDevicesTest,
    testing::Values(
        DeviceCase{"unset", {"GPU", 2}, {}, {}},
        DeviceCase{"cuda", {"GPU", 2}, {{"CUDA_VISIBLE_DEVICES", "2,3"}}, {"2", "3"}},
        DeviceCase{"uuids", {"GPU", 1}, {{"CUDA_VISIBLE_DEVICES", " GPU-8f, MIG-1"}}, {"GPU-8f"}},
        DeviceCase{"fewer_than_shown", {"GPU", 1}, {{"CUDA_VISIBLE_DEVICES", "7,5,3"}}, {"7"}},
        DeviceCase{"amd",
                   {"GPU", 1},
                   {{"HIP_VISIBLE_DEVICES", "4"}, {"CUDA_VISIBLE_DEVICES", "0"}},
                   {"4"}},
        DeviceCase{"intel", {"GPU", 2}, {{"ZE_AFFINITY_MASK", "1,0"}}, {"1", "0"}},
        DeviceCase{"tpu", {"TPU", 4}, {{"TPU_VISIBLE_CHIPS", "4,5,6,7"}}, {"4", "5", "6", "7"}},
        DeviceCase{"neuron", {"neuron_cores", 1}, {{"NEURON_RT_VISIBLE_CORES", "8,9"}}, {"8"}},
        DeviceCase{"gaudi", {"HPU", 1}, {{"HABANA_VISIBLE_MODULES", "3"}}, {"3"}},
        DeviceCase{"ascend", {"NPU", 1}, {{"ASCEND_RT_VISIBLE_DEVICES", "6"}}, {"6"}},
        DeviceCase{"rebellions", {"RBLN", 1}, {{"RBLN_DEVICES", "2"}}, {"2"}},
        DeviceCase{"furiosa", {"FURIOSA", 2}, {{"FURIOSA_DEVICES", "npu:1,npu:4"}}, {"1", "4"}},
        DeviceCase{"mobilint", {"MBLT", 1}, {{"QBRUNTIME_VISIBLE_DEVICES", "1"}}, {"1"}},
        DeviceCase{"tenstorrent", {"TTNPU", 1}, {{"TT_VISIBLE_DEVICES", "3"}}, {"3"}},
        DeviceCase{"of_another_family", {"GPU", 1}, {{"HABANA_VISIBLE_MODULES", "3"}}, {}}),
    [](const auto& test) { return test.param.name; });

TEST(NameDevices, TellsTheVendorOfTheGpus) {
  EXPECT_EQ(NameDevices({{"GPU", Q(1)}}, {{"HIP_VISIBLE_DEVICES", "0"}})->gpu_vendor, "amd");
  EXPECT_EQ(NameDevices({{"GPU", Q(1)}}, {})->gpu_vendor, "");
}

TEST(NameDevices, RefusesMoreThanAreShown) {
  const auto refused = [](const base::Environment& environment) {
    return NameDevices({{"GPU", Q(3)}}, environment).status();
  };
  EXPECT_EQ(refused({{"CUDA_VISIBLE_DEVICES", "2,3"}}),
            InvalidArgument("Attempting to start raylet with 3 GPU, but CUDA_VISIBLE_DEVICES "
                            "contains ['2', '3']."));
  EXPECT_NE(refused({{"CUDA_VISIBLE_DEVICES", ""}}).message().find("contains []"),
            std::string::npos);
  EXPECT_NE(refused({{"CUDA_VISIBLE_DEVICES", "NoDevFiles"}}).message().find("contains []"),
            std::string::npos);
}

TEST(NameDevices, GivesDetectedOnesTheirNames) {
  const std::vector<Accelerators> divided = {
      {.resource = "GPU", .vendor = "nvidia", .devices = {{.id = "MIG-a"}, {.id = "MIG-b"}}}};
  EXPECT_EQ(NameDevices({{"GPU", Q(2)}}, {}, divided)->ids.at("GPU"),
            (std::vector<std::string>{"MIG-a", "MIG-b"}));
  EXPECT_EQ(NameDevices({{"GPU", Q(1)}}, {}, divided)->ids.at("GPU"),
            (std::vector<std::string>{"MIG-a"}));
  EXPECT_TRUE(NameDevices({{"GPU", Q(3)}}, {}, divided)->ids.empty()) << "more were declared";
  EXPECT_EQ(
      NameDevices({{"GPU", Q(1)}}, {{"CUDA_VISIBLE_DEVICES", "MIG-b"}}, divided)->ids.at("GPU"),
      (std::vector<std::string>{"MIG-b"}));
  const std::vector<Accelerators> amd = {{.resource = "GPU", .vendor = "amd", .devices = {{}}}};
  EXPECT_EQ(NameDevices({{"GPU", Q(1)}}, {}, amd)->gpu_vendor, "amd");
  EXPECT_TRUE(NameDevices({{"GPU", Q(1)}}, {}, amd)->ids.empty());
}

TEST(Shown, CountsWhatTheEnvironmentLeaves) {
  const auto left = [](const base::Environment& environment) {
    const auto all = Shown({{.resource = "GPU", .devices = {{}, {}, {}}}}, environment);
    return all.empty() ? 0 : all.front().devices.size();
  };
  EXPECT_EQ(left({}), 3u);
  EXPECT_EQ(left({{"CUDA_VISIBLE_DEVICES", "2,0"}}), 2u);
  EXPECT_EQ(left({{"CUDA_VISIBLE_DEVICES", "0,1,2,3"}}), 3u);
  EXPECT_EQ(left({{"CUDA_VISIBLE_DEVICES", ""}}), 0u);
}

struct DeviceTree {
  const char* name;
  Tree tree;
  const char* resource;  // nullptr: nothing is found
  std::size_t count = 0;
  const char* type = "";
  const char* vendor = "";
};

class AcceleratorTree : public DetectTest, public testing::WithParamInterface<DeviceTree> {};

TEST_P(AcceleratorTree, GivesWhatItsDriversShow) {
  const DeviceTree& expected = GetParam();
  Make(expected.tree);
  const auto found =
      DetectAccelerators({.root = root_, .nvml = ""}, {{"TPU_ACCELERATOR_TYPE", "v5litepod-4"}});
  if (expected.resource == nullptr) {
    EXPECT_TRUE(found.empty());
    return;
  }
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].resource, expected.resource);
  EXPECT_EQ(found[0].devices.size(), expected.count) << found[0].derivation;
  EXPECT_EQ(found[0].type, expected.type);
  EXPECT_EQ(found[0].vendor, expected.vendor);
  EXPECT_FALSE(found[0].derivation.empty());
}

Tree KfdNode(const std::string& number, const std::string& simd_count, const std::string& device) {
  return {{"sys/class/kfd/kfd/topology/nodes/" + number + "/properties",
           "cpu_cores_count 0\nsimd_count " + simd_count + "\nvendor_id 4098\ndevice_id " + device +
               "\n"}};
}

Tree Joined(const std::vector<Tree>& trees) {
  Tree all;
  for (const Tree& tree : trees) all.insert(all.end(), tree.begin(), tree.end());
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, AcceleratorTree,
    testing::Values(
        DeviceTree{
            "nothing", {{"dev/null", ""}, {"dev/hlx", ""}, {"dev/davinci_manager", ""}}, nullptr},
        DeviceTree{"amd_mi300x",
                   Joined({KfdNode("0", "0", "0"), KfdNode("1", "1216", "29857"),
                           KfdNode("2", "1216", "29857")}),
                   "GPU", 2, "AMD-Instinct-MI300X-OAM", "amd"},
        DeviceTree{"amd_of_another_model", KfdNode("1", "240", "29772"), "GPU", 1, "", "amd"},
        DeviceTree{"amd_cpu_only", KfdNode("0", "0", "0"), nullptr},
        DeviceTree{"tpu",
                   {{"dev/accel0", ""}, {"dev/accel1", ""}, {"dev/accel2", ""}, {"dev/accel3", ""}},
                   "TPU",
                   4,
                   "TPU-V5LITEPOD",
                   "google"},
        DeviceTree{"tpu_by_vfio",
                   {{"dev/vfio/0", ""},
                    {"dev/vfio/1", ""},
                    {"dev/vfio/vfio", ""},
                    {"sys/bus/pci/devices/0000:00:04.0/vendor", "0x1ae0\n"},
                    {"sys/bus/pci/devices/0000:00:05.0/vendor", "0x1ae0\n"},
                    {"sys/bus/pci/devices/0000:00:06.0/vendor", "0x8086\n"}},
                   "TPU",
                   2,
                   "TPU-V5LITEPOD",
                   "google"},
        DeviceTree{"vfio_of_others",
                   {{"dev/vfio/0", ""}, {"sys/bus/pci/devices/0000:00:06.0/vendor", "0x8086\n"}},
                   nullptr},
        DeviceTree{"neuron",
                   {{"dev/neuron0", ""},
                    {"dev/neuron1", ""},
                    {"sys/devices/virtual/neuron_device/neuron0/core_count", "2\n"},
                    {"sys/devices/virtual/neuron_device/neuron1/core_count", "2\n"}},
                   "neuron_cores",
                   4,
                   "aws-neuron-core",
                   "aws"},
        DeviceTree{"gaudi",
                   {{"dev/accel/accel0", ""},
                    {"dev/accel/accel1", ""},
                    {"dev/accel/accel2", ""},
                    {"sys/class/accel/accel0/device/vendor", "0x1da3\n"},
                    {"sys/class/accel/accel1/device/vendor", "0x1da3\n"},
                    {"sys/class/accel/accel2/device/vendor", "0x8086\n"}},
                   "HPU",
                   2,
                   "Intel-GAUDI",
                   "habana"},
        DeviceTree{"gaudi_of_an_older_driver",
                   {{"dev/hl0", ""}, {"dev/hl_controlD0", ""}},
                   "HPU",
                   1,
                   "Intel-GAUDI",
                   "habana"},
        DeviceTree{"ascend",
                   {{"dev/davinci0", ""}, {"dev/davinci7", ""}, {"dev/davinci_manager", ""}},
                   "NPU",
                   2,
                   "",
                   "huawei"},
        DeviceTree{"rebellions", {{"dev/rbln0", ""}}, "RBLN", 1, "", "rebellions"},
        DeviceTree{"furiosa",
                   {{"dev/rngd/npu0", ""}, {"dev/rngd/npu0mgmt", ""}},
                   "FURIOSA",
                   1,
                   "FURIOSA_RNGD",
                   "furiosa"},
        DeviceTree{"mobilint",
                   {{"dev/aries0", ""}, {"dev/aries1", ""}},
                   "MBLT",
                   2,
                   "MOBILINT_ARIES",
                   "mobilint"},
        DeviceTree{"tenstorrent",
                   {{"dev/tenstorrent/0", ""}, {"dev/tenstorrent/1", ""}},
                   "TTNPU",
                   2,
                   "",
                   "tenstorrent"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace penstock::detect
