#include "app/status_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <vector>

namespace penstock::app {
namespace {

using Json = nlohmann::json;

std::string Number(double value) {
  std::array<char, 64> text;
  const int n = std::snprintf(text.data(), text.size(), "%.4f", value);
  std::string number(text.data(), static_cast<std::size_t>(n));
  number.erase(number.find_last_not_of('0') + 1);
  if (number.ends_with('.')) number.pop_back();
  return number;
}

std::string Amount(const std::string& resource, double value) {
  const bool bytes = resource == "memory" || resource == "object_store_memory";
  if (!bytes || value < 1024) return Number(value);
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return Number(std::round(value * 10) / 10) + " " + kUnits[unit];
}

// Columns as wide as their widest cell.
class Table {
 public:
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  // A line of its own below the last row; no column widens for it.
  void Note(std::string text) { rows_.push_back({std::move(text)}); }

  std::string Text(const std::string& indent) const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      if (row.size() == 1) continue;
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = indent;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += row[i];
        if (row.size() > 1) line += std::string(widths[i] - row[i].size() + 2, ' ');
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string Amounts(const Json& amounts) {
  std::string text;
  for (const auto& [name, amount] : amounts.items()) {
    text += (text.empty() ? "" : ", ") + name + " " + Amount(name, amount);
  }
  return text.empty() ? "-" : text;
}

std::string Devices(const Json& replica) {
  std::string text;
  const Json devices = replica.value("devices", Json::object());
  for (const auto& [resource, shares] : devices.items()) {
    for (const Json& share : shares) {
      text += (text.empty() ? "" : ", ") + resource + " " + share.at("id").get<std::string>();
      if (share.at("share") < 1.0) text += " x" + Number(share.at("share"));
    }
  }
  return text.empty() ? "-" : text;
}

std::string Variables(const Json& replica) {
  std::string text;
  const Json decisions = replica.value("env", Json::object());
  for (const auto& [name, decided] : decisions.items()) {
    text += (text.empty() ? "" : ", ") + name + "=" + decided.value("value", "") + " [" +
            decided.value("reason", "") + "]";
  }
  return text.empty() ? "-" : text;
}

// Without the id, which every node has.
std::string LabelsText(const Json& labels) {
  std::string text;
  for (const auto& [key, value] : labels.items()) {
    if (key == "ray.io/node-id") continue;
    text += (text.empty() ? "" : ", ") + key + "=" + value.get<std::string>();
  }
  return text;
}

std::string NodesText(const Json& cluster) {
  Table table;
  table.Row({"NODE", "RESOURCE", "TOTAL", "RESERVED", "FREE", "FREE PER DEVICE"});
  for (const Json& node : cluster.at("nodes")) {
    std::string name = node.at("name");
    if (!node.at("alive").get<bool>()) {
      table.Note(name + " (gone)");
      continue;
    }
    if (node.value("draining", false)) name += " (draining)";
    for (const auto& [resource, total] : node.at("total").items()) {
      if (resource.starts_with("node:")) continue;
      const double free = node.at("free").value(resource, 0.0);
      std::string shares;
      for (const Json& share : node.at("devices").value(resource, Json::array())) {
        shares += (shares.empty() ? "" : " ") + Number(share);
      }
      table.Row({name, resource, Amount(resource, total),
                 Amount(resource, total.get<double>() - free), Amount(resource, free), shares});
      name.clear();
    }
    if (const std::string labels = LabelsText(node.at("labels")); !labels.empty()) {
      table.Note("        labels: " + labels);
    }
  }
  return table.Text("");
}

std::string NodeName(const Json& cluster, const Json& id) {
  for (const Json& node : cluster.at("nodes")) {
    if (node.at("id") == id) return node.at("name");
  }
  return "-";
}

// "busy since 12:00:05 UTC: predict (model.py:7)"; "" of one that is healthy.
std::string HealthText(const Json& replica) {
  const Json health = replica.value("health", Json::object());
  const std::string state = health.value("state", "healthy");
  if (!health.contains("since_s")) return "";
  const auto since = static_cast<std::time_t>(health.at("since_s").get<double>());
  std::tm parts{};
  std::array<char, 16> time{};
  ::gmtime_r(&since, &parts);
  std::strftime(time.data(), time.size(), "%H:%M:%S", &parts);
  const std::string doing = health.value("doing", "");
  return state + " since " + time.data() + " UTC" + (doing.empty() ? "" : ": " + doing);
}

std::string ReplicasText(const Json& deployment, const Json& cluster) {
  Table table;
  table.Row({"REPLICA", "STATE", "NODE", "PID", "ASSIGNED", "DEVICES", "VARIABLES"});
  for (const Json& replica : deployment.at("replicas")) {
    const Json pid = replica.value("pid", Json());
    table.Row({replica.at("replica_id"), replica.at("state"),
               NodeName(cluster, replica.at("node_id")), pid.is_null() ? "-" : pid.dump(),
               Amounts(replica.value("assigned_resources", Json::object())), Devices(replica),
               Variables(replica)});
    if (replica.contains("pending")) {
      table.Note("  waits: " + replica.at("pending").value("reason", ""));
    }
    if (const std::string health = HealthText(replica); !health.empty()) table.Note("  " + health);
  }
  return table.Text("      ");
}

}  // namespace

std::string StatusText(const Json& serve, const Json& cluster) {
  std::string text = NodesText(cluster);
  if (const std::string notice = serve.value("notice", ""); !notice.empty()) {
    text += "\nNOTICE: " + notice + "\n";
  }
  for (const auto& [node, status] : serve.at("proxies").items()) {
    text += "\nproxy on " + NodeName(cluster, node) + ": " + status.get<std::string>();
    const std::string address = serve.value("proxy_addresses", Json::object()).value(node, "");
    text += (address.empty() ? "" : ", listens at " + address) + "\n";
  }
  for (const auto& [name, app] : serve.at("applications").items()) {
    const Json prefix = app.value("route_prefix", Json());
    text += "\napplication " + name + " " +
            (prefix.is_null() ? "(no route)" : prefix.get<std::string>()) + ": " +
            app.at("status").get<std::string>() + "\n";
    if (const std::string message = app.value("message", ""); !message.empty()) {
      text += "  " + message + "\n";
    }
    for (const auto& [deployment_name, deployment] : app.at("deployments").items()) {
      text += "  deployment " + deployment_name + ": " +
              deployment.at("status").get<std::string>() + " (" +
              deployment.at("status_trigger").get<std::string>() + "), " +
              std::to_string(deployment.at("replica_states").value("RUNNING", 0)) + " of " +
              deployment.at("target_num_replicas").dump() + " replicas run\n";
      if (const std::string message = deployment.value("message", ""); !message.empty()) {
        text += "    " + message + "\n";
      }
      if (!deployment.at("replicas").empty()) text += ReplicasText(deployment, cluster);
    }
  }
  return text;
}

}  // namespace penstock::app
