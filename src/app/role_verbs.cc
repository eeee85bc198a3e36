// The roles that Penstock starts by itself: guard, node, controller, proxy, replica.
#include <cstdio>
#include <memory>

#include "app/node_flags.h"
#include "app/roles.h"
#include "app/verbs.h"
#include "base/instance.h"
#include "base/random.h"

namespace penstock::app {
namespace {

struct NodeRoleFlags {
  NodeOptions options;
  NodeFlags flags;
};

int StartNode(NodeRoleFlags& node) {
  NodeOptions& options = node.options;
  options.name = options.is_head ? "head" : "node";
  if (Status bad = node.flags.Apply(options); !bad.ok()) {
    std::fprintf(stderr, "penstock node: %s\n", bad.message().c_str());
    return 2;
  }
  if (options.folder.empty()) {
    const auto paths = base::MakeInstance("e-" + base::Random().Hex(8));
    if (!paths.ok()) {
      std::fprintf(stderr, "penstock node: %s\n", paths.status().message().c_str());
      return 1;
    }
    options.folder = paths->folder;
  }
  return RunNode(options);
}

void AddNode(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("node")->group("");
  const auto node = std::make_shared<NodeRoleFlags>();
  NodeOptions& options = node->options;
  verb->add_option("--instance", options.folder);
  verb->add_flag("--head", options.is_head);
  verb->add_flag("--embedded", options.embedded);
  verb->add_option("--python", options.python);
  verb->add_option("--port", options.port);
  verb->add_option("--metrics-export-port", options.metrics_port);
  verb->add_option("--lifeline-fd", options.lifeline);
  verb->add_option("--report-fd", options.report);
  verb->add_flag("--guarded", options.guarded);
  node->flags.AddTo(*verb);
  verb->callback([node, &chosen] { chosen = [node] { return StartNode(*node); }; });
}

}  // namespace

void AddRoles(CLI::App& root, Action& chosen) {
  AddNode(root, chosen);
  auto* guard = root.add_subcommand("guard")->group("");
  guard->prefix_command();  // everything after it is the node's
  guard->callback([guard, &chosen] { chosen = [guard] { return RunGuard(guard->remaining()); }; });

  auto* controller = root.add_subcommand("controller")->group("");
  const auto controlled = std::make_shared<ControllerRoleOptions>();
  controller->add_option("--instance", controlled->folder)->required();
  controller->add_option("--ip", controlled->ip);
  controller->add_flag("--shows-metrics", controlled->shows_metrics);
  controller->callback(
      [controlled, &chosen] { chosen = [controlled] { return RunController(*controlled); }; });

  auto* proxy = root.add_subcommand("proxy")->group("");
  const auto options = std::make_shared<ProxyRoleOptions>();
  proxy->add_option("--instance", options->folder)->required();
  proxy->add_option("--node", options->node)->required();
  proxy->add_option("--ip", options->ip)->required();
  proxy->add_option("--grpc", options->grpc);
  proxy->callback([options, &chosen] { chosen = [options] { return RunProxy(*options); }; });

  auto* replica = root.add_subcommand("replica")->group("");
  replica->callback([&chosen] { chosen = RunReplica; });
}

}  // namespace penstock::app
