#include "app/option_pairs.h"

namespace penstock::app {

using Json = nlohmann::json;

Result<Json> OptionPairs(const std::vector<std::string>& pairs) {
  Json options = Json::object();
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      return InvalidArgument("--with: '" + pair + "' is not OPTION=VALUE");
    }
    const std::string value = pair.substr(equals + 1);
    const Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    options[pair.substr(0, equals)] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return options;
}

}  // namespace penstock::app
