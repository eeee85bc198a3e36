#include "app/status_text.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

using Json = nlohmann::json;

Json Node(const std::string& name, bool alive) {
  return {
      {"id", "id-" + name},
      {"name", name},
      {"alive", alive},
      {"labels", {{"ray.io/node-id", "id-" + name}, {"zone", "b"}}},
      {"total", {{"CPU", 8.0}, {"GPU", 2.0}, {"memory", 3.5 * 1024 * 1024}, {"node:1.2.3.4", 1.0}}},
      {"free", {{"CPU", 6.5}, {"GPU", 1.5}, {"memory", 512.0}}},
      {"devices", {{"GPU", {0.5, 1.0}}}}};
}

Json Running() {
  return {{"replica_id", "abc"},
          {"state", "RUNNING"},
          {"node_id", "id-head"},
          {"pid", 7},
          {"assigned_resources", {{"CPU", 1.0}, {"GPU", 0.5}}},
          {"devices", {{"GPU", {{{"id", "3"}, {"share", 0.5}}}}}},
          {"env", {{"OMP_NUM_THREADS", {{"value", "1"}, {"reason", "num_cpus is not set"}}}}}};
}

Json Waiting() {
  return {{"replica_id", "def"},
          {"state", "STARTING"},
          {"node_id", nullptr},
          {"pid", nullptr},
          {"pending", {{"code", "fits_later"}, {"reason", "needs 1 GPU"}}}};
}

Json Serve(Json replicas, Json route_prefix) {
  return {{"proxies", {{"id-head", "HEALTHY"}}},
          {"proxy_addresses", {{"id-head", "127.0.0.1:8000"}}},
          {"applications",
           {{"a",
             {{"status", "DEPLOYING"},
              {"message", ""},
              {"route_prefix", std::move(route_prefix)},
              {"deployments",
               {{"D",
                 {{"status", "UPDATING"},
                  {"status_trigger", "CONFIG_UPDATE_STARTED"},
                  {"message", "slow"},
                  {"replica_states", {{"RUNNING", 1}, {"STARTING", 1}}},
                  {"target_num_replicas", 2},
                  {"replicas", std::move(replicas)}}}}}}}}}};
}

TEST(StatusText, SaysPerNodeWhatIsReservedAndFree) {
  const std::string text = StatusText(Serve({}, nullptr), {{"nodes", {Node("head", true)}}});
  EXPECT_EQ(text.substr(0, text.find("\nproxy")),
            "NODE  RESOURCE  TOTAL    RESERVED  FREE  FREE PER DEVICE\n"
            "head  CPU       8        1.5       6.5\n"
            "      GPU       2        0.5       1.5   0.5 1\n"
            "      memory    3.5 MiB  3.5 MiB   512\n"
            "        labels: zone=b\n");
}

TEST(StatusText, SaysWhatEachReplicaGotAndWhy) {
  const std::string text =
      StatusText(Serve({Running(), Waiting()}, "/a"), {{"nodes", {Node("head", true)}}});
  EXPECT_NE(text.find("proxy on head: HEALTHY, listens at 127.0.0.1:8000\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("application a /a: DEPLOYING\n"
                      "  deployment D: UPDATING (CONFIG_UPDATE_STARTED), 1 of 2 replicas run\n"
                      "    slow\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("abc      RUNNING   head  7    CPU 1, GPU 0.5  GPU 3 x0.5  "
                      "OMP_NUM_THREADS=1 [num_cpus is not set]\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  waits: needs 1 GPU\n"), std::string::npos) << text;
}

TEST(StatusText, SaysSinceWhenAReplicaIsBusyAndWithWhat) {
  Json replica = Running();
  replica["health"] = {{"state", "busy"}, {"since_s", 86400.0 + 3723.5}, {"doing", "f (m.py:7)"}};
  const Json cluster = {{"nodes", {Node("head", true)}}};
  std::string text = StatusText(Serve({replica}, "/a"), cluster);
  EXPECT_NE(text.find("  busy since 01:02:03 UTC: f (m.py:7)\n"), std::string::npos) << text;
  replica["health"] = {{"state", "healthy"}};
  text = StatusText(Serve({replica}, "/a"), cluster);
  EXPECT_EQ(text.find("since"), std::string::npos) << text;
}

TEST(StatusText, MarksNodesThatAreGone) {
  const std::string text = StatusText(Serve({}, nullptr), {{"nodes", {Node("n2", false)}}});
  EXPECT_NE(text.find("n2 (gone)\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("CPU"), std::string::npos) << text;
  EXPECT_NE(text.find("application a (no route): DEPLOYING\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace penstock::app
