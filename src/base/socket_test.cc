#include "base/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>

#include "base/file.h"

namespace penstock::base {
namespace {

// The descriptor that came with the next packet.
UniqueFd ReceiveDescriptor(const UniqueFd& socket) {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(socket.get(), &message, 0) < 0) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return UniqueFd(fd);
}

TEST(Packets, StayApartAndComeInOrder) {
  const auto pair = MakePacketPair();
  ASSERT_TRUE(pair.ok());
  EXPECT_EQ(ReceivePacket(pair->theirs), std::nullopt);
  ASSERT_TRUE(SendPacket(pair->ours, "one", {}).ok());
  ASSERT_TRUE(SendPacket(pair->ours, "two", {}).ok());
  EXPECT_EQ(ReceivePacket(pair->theirs), "one");
  EXPECT_EQ(ReceivePacket(pair->theirs), "two");
  EXPECT_EQ(ReceivePacket(pair->theirs), std::nullopt);
}

TEST(Packets, CarryDescriptors) {
  const auto pair = MakePacketPair();
  auto file = MemoryFile("content");
  ASSERT_TRUE(SendPacket(pair->ours, "x", {file->get()}).ok());
  file->Reset();
  const UniqueFd received = ReceiveDescriptor(pair->theirs);
  EXPECT_EQ(*ReadFile("/proc/self/fd/" + std::to_string(received.get())), "content");
}

TEST(Packets, TheEndIsAnEmptyOneAndSendingFails) {
  auto pair = MakePacketPair();
  pair->theirs.Reset();
  EXPECT_EQ(ReceivePacket(pair->ours), "");
  EXPECT_EQ(SendPacket(pair->ours, "x", {}).code(), Code::kUnavailable);
}

TEST(Packets, SendingToOneWhoDoesNotReadFailsInTheEnd) {
  const auto pair = MakePacketPair();
  Status status;
  for (int i = 0; i < 100000 && status.ok(); ++i) {
    status = SendPacket(pair->ours, std::string(1000, 'x'), {});
  }
  EXPECT_EQ(status.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace penstock::base
