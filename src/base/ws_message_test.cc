#include "base/ws_message.h"

#include <gtest/gtest.h>

namespace penstock::base {
namespace {

TEST(WsMessage, SurvivesBeingCutAnywhere) {
  std::string bytes;
  AppendWsMessage(bytes, {.kind = WsKind::kText, .data = "hello"});
  AppendWsMessage(bytes, {.kind = WsKind::kBinary, .data = ""});
  AppendWsMessage(bytes, {.kind = WsKind::kClose, .data = "bye", .code = 4001});
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    WsMessageReader reader;
    std::string seen;
    for (const auto piece :
         {std::string_view(bytes).substr(0, cut), std::string_view(bytes).substr(cut)}) {
      reader.Feed(piece);
      while (const auto message = reader.Next()) {
        seen += std::to_string(static_cast<int>(message->kind)) + ":" + std::string(message->data);
        if (message->kind == WsKind::kClose) seen += std::to_string(message->code);
        seen += ";";
      }
    }
    EXPECT_EQ(seen, "1:hello;2:;3:bye4001;") << cut;
    EXPECT_FALSE(reader.broken());
  }
}

TEST(WsMessage, RefusesWhatIsNone) {
  std::string close_without_code;
  close_without_code += '\3';
  close_without_code.append(4, '\0');
  for (const std::string& bytes :
       {std::string("\7\0\0\0\0", 5), std::string("\1\xff\xff\xff\xff", 5), close_without_code}) {
    WsMessageReader reader;
    reader.Feed(bytes);
    EXPECT_FALSE(reader.Next());
    EXPECT_TRUE(reader.broken());
  }
}

}  // namespace
}  // namespace penstock::base
