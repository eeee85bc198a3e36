#include "engine/local/environment.h"

#include <gtest/gtest.h>

#include <optional>

namespace penstock::engine::local {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

resources::NodeSpec Node(resources::ResourceSet total) {
  return {.id = "n", .name = "n", .ip = "127.0.0.1", .total = std::move(total)};
}

StartOrder Order(const resources::ResourceSet& amounts) {
  return {.id = {{"a", "d"}, "r"}, .node = "n", .allocation = {.amounts = amounts}};
}

struct OmpCase {
  const char* name;
  std::optional<double> num_cpus;  // absent: not specified
  const char* at_start;            // in the node's environment; nullptr when not
  const char* in_runtime_env;      // nullptr when not
  const char* value;
  const char* reason;
};

class Omp : public testing::TestWithParam<OmpCase> {};

TEST_P(Omp, FollowsRaysRule) {
  const OmpCase& row = GetParam();
  StartOrder order = Order({{"CPU", Q(row.num_cpus.value_or(1))}});
  order.default_cpus = !row.num_cpus;
  Variables at_start;
  if (row.at_start != nullptr) at_start["OMP_NUM_THREADS"] = row.at_start;
  if (row.in_runtime_env != nullptr)
    order.runtime_env.env_vars["OMP_NUM_THREADS"] = row.in_runtime_env;
  const auto environment = MakeEnvironment(at_start, Node({{"CPU", Q(8)}}), order);
  EXPECT_EQ(environment.variables.at("OMP_NUM_THREADS"), row.value);
  EXPECT_EQ(environment.decided.at("OMP_NUM_THREADS").reason, row.reason);
}

INSTANTIATE_TEST_SUITE_P(
    Specification35, Omp,
    testing::Values(
        OmpCase{"zero", 0, nullptr, nullptr, "1", "no CPU is assigned"},
        OmpCase{"quarter", 0.25, nullptr, nullptr, "1", "max(1, floor(num_cpus=0.25))"},
        OmpCase{"half", 0.5, nullptr, nullptr, "1", "max(1, floor(num_cpus=0.5))"},
        OmpCase{"one", 1, nullptr, nullptr, "1", "max(1, floor(num_cpus=1))"},
        OmpCase{"one_and_a_half", 1.5, nullptr, nullptr, "1", "max(1, floor(num_cpus=1.5))"},
        OmpCase{"two", 2, nullptr, nullptr, "2", "max(1, floor(num_cpus=2))"},
        OmpCase{"almost_three", 2.9, nullptr, nullptr, "2", "max(1, floor(num_cpus=2.9))"},
        OmpCase{"three", 3, nullptr, nullptr, "3", "max(1, floor(num_cpus=3))"},
        OmpCase{"unset", std::nullopt, nullptr, nullptr, "1", "num_cpus is not specified"},
        OmpCase{"set_at_start", 2, "12", nullptr, "12", "set when the node was started"},
        OmpCase{"set_in_runtime_env", 2, nullptr, "7", "7", "set in runtime_env"},
        OmpCase{"runtime_env_wins", 2, "12", "3", "3", "set in runtime_env"}),
    [](const auto& test) { return test.param.name; });

TEST(VisibleDevices, AreTheAssignedOnesAndFractionsShareAnId) {
  StartOrder order = Order({{"GPU", Q(0.5)}});
  order.allocation.devices["GPU"] = {{1, Q(0.5)}};
  const auto environment =
      MakeEnvironment({{"CUDA_VISIBLE_DEVICES", "0,1,2"}}, Node({{"GPU", Q(2)}}), order);
  EXPECT_EQ(environment.variables.at("CUDA_VISIBLE_DEVICES"), "1");
  EXPECT_EQ(environment.decided.at("CUDA_VISIBLE_DEVICES").reason, "assigned GPU 1");
}

TEST(VisibleDevices, CarryTheIdsOfTheParentsMask) {
  auto node = Node({{"GPU", Q(2)}});
  node.device_ids["GPU"] = {"GPU-aaaa", "GPU-bbbb"};
  StartOrder order = Order({{"GPU", Q(2)}});
  order.allocation.devices["GPU"] = {{0, Q(1)}, {1, Q(1)}};
  EXPECT_EQ(MakeEnvironment({}, node, order).variables.at("CUDA_VISIBLE_DEVICES"),
            "GPU-aaaa,GPU-bbbb");
}

TEST(VisibleDevices, AreLeftAloneWithoutADeviceUnlessRaysSwitchIsSet) {
  const auto node = Node({{"GPU", Q(2)}});
  const StartOrder order = Order({{"CPU", Q(1)}});
  EXPECT_FALSE(MakeEnvironment({}, node, order).variables.contains("CUDA_VISIBLE_DEVICES"));
  EXPECT_EQ(MakeEnvironment({{"CUDA_VISIBLE_DEVICES", "3"}}, node, order)
                .variables.at("CUDA_VISIBLE_DEVICES"),
            "3");
  const Variables old{{"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1"}};
  EXPECT_EQ(MakeEnvironment(old, node, order).variables.at("CUDA_VISIBLE_DEVICES"), "");
}

TEST(VisibleDevices, AreNotSetWhenTheUserOptsOut) {
  StartOrder order = Order({{"GPU", Q(1)}});
  order.allocation.devices["GPU"] = {{0, Q(1)}};
  order.runtime_env.env_vars["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1";
  const auto environment = MakeEnvironment({}, Node({{"GPU", Q(1)}}), order);
  EXPECT_FALSE(environment.variables.contains("CUDA_VISIBLE_DEVICES"));
  EXPECT_EQ(environment.decided.at("CUDA_VISIBLE_DEVICES").reason,
            "left alone: RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES=1");
}

struct FamilyCase {
  const char* resource;
  const char* vendor;
  const char* variable;
  const char* value;
};

class FamilyVariable : public testing::TestWithParam<FamilyCase> {};

TEST_P(FamilyVariable, IsTheFamilysOwn) {
  const FamilyCase& row = GetParam();
  auto node = Node({{row.resource, Q(4)}});
  node.gpu_vendor = row.vendor;
  StartOrder order = Order({{row.resource, Q(2)}});
  order.allocation.devices[row.resource] = {{1, Q(1)}, {3, Q(1)}};
  EXPECT_EQ(MakeEnvironment({}, node, order).variables.at(row.variable), row.value);
}

INSTANTIATE_TEST_SUITE_P(
    Specification34, FamilyVariable,
    testing::Values(FamilyCase{"GPU", "", "CUDA_VISIBLE_DEVICES", "1,3"},
                    FamilyCase{"GPU", "amd", "HIP_VISIBLE_DEVICES", "1,3"},
                    FamilyCase{"GPU", "intel", "ZE_AFFINITY_MASK", "1,3"},
                    FamilyCase{"HPU", "", "HABANA_VISIBLE_MODULES", "1,3"},
                    FamilyCase{"NPU", "", "ASCEND_RT_VISIBLE_DEVICES", "1,3"},
                    FamilyCase{"neuron_cores", "", "NEURON_RT_VISIBLE_CORES", "1,3"},
                    FamilyCase{"RBLN", "", "RBLN_DEVICES", "1,3"},
                    FamilyCase{"FURIOSA", "", "FURIOSA_DEVICES", "npu:1,npu:3"},
                    FamilyCase{"MBLT", "", "QBRUNTIME_VISIBLE_DEVICES", "1,3"},
                    FamilyCase{"TTNPU", "", "TT_VISIBLE_DEVICES", "1,3"},
                    FamilyCase{"TPU", "", "TPU_VISIBLE_CHIPS", "1,3"},
                    FamilyCase{"TPU", "", "TPU_CHIPS_PER_HOST_BOUNDS", "1,2,1"}));

TEST(VisibleDevices, TpuVariableIsUnsetWhenAllChipsAreAssigned) {
  StartOrder order = Order({{"TPU", Q(1)}});
  order.allocation.devices["TPU"] = {{0, Q(1)}};
  EXPECT_FALSE(
      MakeEnvironment({}, Node({{"TPU", Q(1)}}), order).variables.contains("TPU_VISIBLE_CHIPS"));
  // All that the node was shown is not all of the host.
  auto part = Node({{"TPU", Q(1)}});
  part.device_ids["TPU"] = {"3"};
  const auto shown = MakeEnvironment({{"TPU_VISIBLE_CHIPS", "3"}}, part, order).variables;
  EXPECT_EQ(shown.at("TPU_VISIBLE_CHIPS"), "3");
  EXPECT_EQ(shown.at("TPU_CHIPS_PER_HOST_BOUNDS"), "1,1,1");
}

TEST(RuntimeEnv, VariablesWinOverTheNodesAndPathsComeFirst) {
  StartOrder order = Order({});
  order.runtime_env = {.env_vars = {{"A", "mine"}}, .working_dir = "/w", .py_modules = {"/m/mod"}};
  const auto environment =
      MakeEnvironment({{"A", "node's"}, {"B", "b"}, {"PYTHONPATH", "/p"}}, Node({}), order);
  EXPECT_EQ(environment.variables.at("A"), "mine");
  EXPECT_EQ(environment.variables.at("B"), "b");
  EXPECT_EQ(environment.variables.at("PYTHONPATH"), "/w:/m:/p");
  EXPECT_EQ(environment.import_folders, (std::vector<std::string>{"/w", "/m"}));
}

}  // namespace
}  // namespace penstock::engine::local
