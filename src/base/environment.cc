#include "base/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace penstock::base {

std::string GetEnv(const char* name, const std::string& otherwise) {
  const char* value = ::getenv(name);
  return value == nullptr ? otherwise : value;
}

Environment AllEnv() {
  Environment all;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

}  // namespace penstock::base
