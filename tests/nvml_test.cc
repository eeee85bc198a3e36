// NVIDIA's GPUs by a stand-in for the library, in recorded topologies.
#include "detect/nvml.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "detect/accelerators.h"

namespace penstock::detect {
namespace {

constexpr const char* kLibrary = FAKE_NVML_LIBRARY;

class NvmlTest : public testing::Test {
 protected:
  NvmlTest() {
    std::string name = "/tmp/penstock_nvml_XXXXXX";
    root_ = std::string(::mkdtemp(name.data())) + "/";
  }
  ~NvmlTest() override {
    ::unsetenv("FAKE_NVML");
    base::RemoveTree(root_);
  }

  static void Fake(const std::string& gpus) { ::setenv("FAKE_NVML", gpus.c_str(), 1); }

  static std::vector<NvidiaGpu> Gpus() {
    const auto gpus = NvidiaGpus(kLibrary);
    EXPECT_TRUE(gpus.ok()) << gpus.status().message();
    return gpus.ok() ? *gpus : std::vector<NvidiaGpu>();
  }

  // All of the resource GPU; none when there is none.
  std::vector<Accelerators> Detect() const {
    return DetectAccelerators({.root = root_, .nvml = kLibrary}, {});
  }

  std::string root_;
};

std::string Gpu(int number, const std::string& name, const std::string& rest = "|") {
  return "GPU-" + std::to_string(number) + "|" + name +
         "|85899345920|00000000:" + std::to_string(10 + number) + ":00.0|" + rest + "\n";
}

TEST_F(NvmlTest, WithoutTheLibraryThereAreNone) {
  const auto none = NvidiaGpus("libno-such-library.so.1");
  EXPECT_EQ(none.status().code(), Code::kNotFound);
}

TEST_F(NvmlTest, WithoutItsDriverThereAreNone) {
  Fake("error 9");
  const auto none = NvidiaGpus(kLibrary);
  EXPECT_EQ(none.status().code(), Code::kNotFound);
  EXPECT_NE(none.status().message().find("Driver Not Loaded"), std::string::npos);
  Fake("error 4");
  EXPECT_EQ(NvidiaGpus(kLibrary).status().code(), Code::kInternal);
  EXPECT_TRUE(Detect().empty());
}

TEST_F(NvmlTest, NoGpu) {
  Fake("");
  EXPECT_TRUE(Gpus().empty());
  EXPECT_TRUE(Detect().empty());
}

TEST_F(NvmlTest, OneSmallGpu) {
  Fake("GPU-a|Tesla T4|16106127360|00000000:00:1E.0|\n");
  const auto gpus = Gpus();
  ASSERT_EQ(gpus.size(), 1u);
  EXPECT_EQ(gpus.front().uuid, "GPU-a");
  EXPECT_EQ(gpus.front().name, "Tesla T4");
  EXPECT_EQ(gpus.front().memory_bytes, 16106127360u);
  EXPECT_EQ(gpus.front().pci, "0000:00:1e.0");
  EXPECT_FALSE(gpus.front().mig);
  const auto found = Detect();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].type, "T4");
  EXPECT_EQ(found[0].vendor, "nvidia");
  EXPECT_EQ(found[0].devices[0].id, "") << "whole GPUs are known by their numbers, as Ray's";
  EXPECT_EQ(found[0].devices[0].numa_node, -1);
}

TEST_F(NvmlTest, EightGpusOnTwoNumaNodes) {
  std::string gpus;
  for (int i = 0; i < 8; ++i) {
    gpus += Gpu(i, "NVIDIA H100 80GB HBM3");
    const std::string folder =
        root_ + "sys/bus/pci/devices/0000:" + std::to_string(10 + i) + ":00.0";
    ASSERT_TRUE(base::MakeDirs(folder).ok());
    ASSERT_TRUE(base::WriteFileAtomic(folder + "/numa_node", i < 4 ? "0\n" : "1\n").ok());
  }
  Fake(gpus);
  const auto found = Detect();
  ASSERT_EQ(found.size(), 1u);
  ASSERT_EQ(found[0].devices.size(), 8u);
  EXPECT_EQ(found[0].type, "H100");
  EXPECT_EQ(found[0].devices[3].numa_node, 0);
  EXPECT_EQ(found[0].devices[4].numa_node, 1);
  EXPECT_EQ(found[0].derivation, "8 x NVIDIA H100 80GB HBM3 by NVML");
}

TEST_F(NvmlTest, OneOfTwoIsDivided) {
  Fake(Gpu(0, "NVIDIA A100-SXM4-80GB", "mig|MIG-a=10,MIG-b=20,MIG-c=20") +
       Gpu(1, "NVIDIA A100-SXM4-80GB"));
  const auto found = Detect();
  ASSERT_EQ(found.size(), 1u);
  std::vector<std::string> ids;
  for (const Accelerator& device : found[0].devices) ids.push_back(device.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"MIG-a", "MIG-b", "MIG-c", "GPU-1"}));
  EXPECT_EQ(found[0].devices[1].memory_bytes, 20u);
  EXPECT_EQ(found[0].type, "A100");
}

TEST_F(NvmlTest, DividedIntoNothing) {
  Fake(Gpu(0, "NVIDIA A100-SXM4-80GB", "mig|"));
  ASSERT_EQ(Gpus().size(), 1u);
  EXPECT_TRUE(Gpus().front().mig);
  EXPECT_TRUE(Detect().empty());
}

TEST_F(NvmlTest, DivisibleAndWhole) {
  Fake(Gpu(0, "NVIDIA A30", "off|MIG-a=10"));
  ASSERT_EQ(Gpus().size(), 1u);
  EXPECT_FALSE(Gpus().front().mig);
  ASSERT_EQ(Detect().size(), 1u);
  EXPECT_EQ(Detect()[0].devices.at(0).id, "");
}

TEST_F(NvmlTest, OneThatIsLostIsLeftOut) {
  Fake(Gpu(0, "NVIDIA L40S") + "lost\n" + Gpu(2, "NVIDIA L40S"));
  const auto gpus = Gpus();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[1].uuid, "GPU-2");
}

TEST_F(NvmlTest, AmdsComeFirst) {
  const std::string folder = root_ + "sys/class/kfd/kfd/topology/nodes/1";
  ASSERT_TRUE(base::MakeDirs(folder).ok());
  ASSERT_TRUE(base::WriteFileAtomic(folder + "/properties", "simd_count 1216\n").ok());
  Fake(Gpu(0, "NVIDIA L40S"));
  ASSERT_EQ(Detect().size(), 1u);
  EXPECT_EQ(Detect()[0].vendor, "amd");
}

TEST(NvidiaType, IsTheModelOrTheNameWithoutItsMaker) {
  EXPECT_EQ(NvidiaType("NVIDIA A100-SXM4-40GB"), "A100");
  EXPECT_EQ(NvidiaType("Tesla V100-PCIE-16GB"), "V100");
  EXPECT_EQ(NvidiaType("Tesla T4"), "T4");
  EXPECT_EQ(NvidiaType("NVIDIA L40S"), "L40S");
  EXPECT_EQ(NvidiaType("NVIDIA H200"), "H200");
  EXPECT_EQ(NvidiaType("NVIDIA GH200 480GB"), "GH200");
  EXPECT_EQ(NvidiaType("NVIDIA A10G"), "A10G");
  EXPECT_EQ(NvidiaType("NVIDIA RTX PRO 6000 Blackwell Server Edition"), "RTX-PRO-6000");
  EXPECT_EQ(NvidiaType("NVIDIA GeForce RTX 3090"), "GeForce-RTX-3090");
  EXPECT_EQ(NvidiaType("NVIDIA"), "");
  EXPECT_EQ(NvidiaType(""), "");
}

}  // namespace
}  // namespace penstock::detect
