#include "resources/families.h"

#include <gtest/gtest.h>

#include <set>

namespace penstock::resources {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

struct AmountCase {
  const char* resource;
  double amount;
  const char* message;  // nullptr: accepted
};

class DeviceAmount : public testing::TestWithParam<AmountCase> {};

TEST_P(DeviceAmount, IsRefusedWithRaysWordsOrAccepted) {
  const auto& [resource, amount, message] = GetParam();
  const Status status = CheckDeviceAmount(resource, Q(amount));
  EXPECT_EQ(status.ok(), message == nullptr) << status.message();
  if (message != nullptr) {
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.message(), message);
  }
}

INSTANTIATE_TEST_SUITE_P(
    AsRay, DeviceAmount,
    testing::Values(
        AmountCase{"GPU", 1.5, nullptr}, AmountCase{"NPU", 0.5, nullptr},
        AmountCase{"NPU", 1.5, nullptr}, AmountCase{"TPU", 4, nullptr},
        AmountCase{"HPU", 2, nullptr}, AmountCase{"HPU", 0, nullptr},
        AmountCase{"widget", 1.5, nullptr},
        AmountCase{"TPU", 1.5,
                   "The number of requested 'TPU' was set to 1.5 which is not a supported chip "
                   "configuration. Supported configs: (1, 2, 4, 8)"},
        AmountCase{"TPU", 3,
                   "The number of requested 'TPU' was set to 3 which is not a supported chip "
                   "configuration. Supported configs: (1, 2, 4, 8)"},
        AmountCase{"neuron_cores", 0.5,
                   "neuron_cores resource quantity must be whole numbers. The specified quantity "
                   "0.5 is invalid."},
        AmountCase{"HPU", 0.5,
                   "HPU resource quantity must be whole numbers. The specified quantity 0.5 is "
                   "invalid."},
        AmountCase{"RBLN", 0.5,
                   "RBLN resource quantity must be whole numbers. The specified quantity 0.5 is "
                   "invalid."},
        AmountCase{"FURIOSA", 0.5,
                   "FURIOSA resource quantity must be a whole number. Furiosa NPUs do not support "
                   "fractional resource sharing. The specified quantity 0.5 is invalid."},
        AmountCase{"MBLT", 0.5,
                   "MBLT resource quantity must be a whole number. Mobilint NPUs do not support "
                   "fractional resource sharing. The specified quantity 0.5 is invalid."},
        AmountCase{"TTNPU", 0.5, "TTNPU resource quantity (0.5) must be an integer."}));

TEST(Families, MoreThanOneDeviceMustBeAWholeNumberOfThem) {
  EXPECT_EQ(ImpossibleDeviceAmount("GPU", Q(1.5)),
            "GPU resource quantities >1 must be whole numbers. The specified quantity 1.5 is "
            "invalid.");
  EXPECT_TRUE(ImpossibleDeviceAmount("NPU", Q(2.0001)));
  EXPECT_FALSE(ImpossibleDeviceAmount("GPU", Q(0.5)));
  EXPECT_FALSE(ImpossibleDeviceAmount("GPU", Q(2)));
  EXPECT_FALSE(ImpossibleDeviceAmount("CPU", Q(1.5)));
  EXPECT_FALSE(ImpossibleDeviceAmount("widget", Q(1.5)));
}

TEST(Families, AVendorChoosesAmongTheFamiliesOfAResource) {
  EXPECT_EQ(FindFamily("GPU")->visible_env, "CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(FindFamily("GPU", "amd")->visible_env, "HIP_VISIBLE_DEVICES");
  EXPECT_EQ(FindFamily("GPU", "intel")->visible_env, "ZE_AFFINITY_MASK");
  EXPECT_EQ(FindFamily("GPU", "unheard-of")->vendor, "nvidia");
  EXPECT_EQ(FindFamily("FURIOSA")->id_prefix, "npu:");
  EXPECT_EQ(FindFamily("CPU"), nullptr);
}

TEST(Families, EveryVendorOfAResourceIsDistinct) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Family& family : Families()) {
    EXPECT_TRUE(seen.emplace(family.resource, family.vendor).second) << family.vendor;
  }
}

TEST(Families, DeviceResourcesAreThoseOfTheTable) {
  for (const char* name :
       {"GPU", "TPU", "neuron_cores", "HPU", "NPU", "RBLN", "FURIOSA", "MBLT", "TTNPU"}) {
    EXPECT_TRUE(IsDeviceResource(name)) << name;
  }
  for (const char* name : {"CPU", "memory", "gpu", "accelerator_type:T4"}) {
    EXPECT_FALSE(IsDeviceResource(name)) << name;
  }
}

}  // namespace
}  // namespace penstock::resources
