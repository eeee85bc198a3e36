// A real instance without Python: the binary's roles, C++ replicas, HTTP.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/call_once.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/instance.h"
#include "base/socket.h"

namespace penstock {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// Polls, because the thing waited for is in other processes; fails the test after ten seconds.
bool Eventually(const std::function<bool()>& done) {
  for (int i = 0; i < 1000; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

int Shell(const std::string& command, std::string* output = nullptr) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string text;
  char bytes[4096];
  for (std::size_t n = 0; (n = ::fread(bytes, 1, sizeof bytes, pipe)) > 0;) text.append(bytes, n);
  if (output != nullptr) *output = text;
  return WEXITSTATUS(::pclose(pipe));
}

bool Alive(int pid) { return ::kill(pid, 0) == 0; }

class InstanceTest : public testing::Test {
 protected:
  InstanceTest() {
    std::string name = "/tmp/penstock_it_XXXXXX";
    home_ = ::mkdtemp(name.data());
    ::setenv("PENSTOCK_HOME", home_.c_str(), 1);
    ::unsetenv("OMP_NUM_THREADS");
    ::unsetenv("PENSTOCK_ADDRESS");
  }

  ~InstanceTest() override {
    Penstock("stop");
    if (HasFailure()) {
      for (const auto& folder : base::ListDir(home_)) {
        Shell("tail -n 20 " + home_ + "/" + folder + "/logs/*", &log_);
        std::printf("%s\n", log_.c_str());
      }
    }
    base::RemoveTree(home_);
  }

  std::string Penstock(const std::string& arguments, int expected = 0,
                       const std::string& before = "") {
    std::string output;
    EXPECT_EQ(Shell(before + " " + PENSTOCK_BINARY + " " + arguments, &output), expected) << output;
    return output;
  }

  void StartHead(const std::string& flags = "--num-cpus 8", const std::string& before = "") {
    Penstock("start --head --port 6399 " + flags, 0, before);
    folder_ = base::FindInstance("")->folder;
  }

  json Call(const std::string& method, const json& params) {
    const auto answer = TryCall(method, params);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() ? answer->json : json();
  }

  Result<base::Message> TryCall(const std::string& method, const json& params) {
    return base::CallOnce(folder_, method, {params, ""});
  }

  // Deploys the echo servable as application `app` at "/<app>", not waiting.
  void Deploy(const std::string& app, const json& options = json::object(),
              const std::string& code_version = "") {
    json deployment = {{"name", "Echo"}, {"options", options}};
    if (!code_version.empty()) deployment["code_version"] = code_version;
    Call("serve.deploy", {{"name", app},
                          {"route_prefix", "/" + app},
                          {"ingress", "Echo"},
                          {"launch", {{"kind", "library"}, {"library", ECHO_LIBRARY}}},
                          {"deployments", json::array({deployment})}});
  }

  Status WaitRunning(const std::string& app) {
    return TryCall("serve.wait", {{"app", app}, {"until", "running"}}).status();
  }

  void Listen() {
    const std::string address =
        Call("serve.start", {{"http_options", {{"port", 0}}}}).at("address");
    port_ = std::stoi(address.substr(address.rfind(':') + 1));
  }

  // The reply's first line and body.
  std::string Get(const std::string& path) {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    void* raw = &address;
    if (::connect(fd.get(), static_cast<sockaddr*>(raw), sizeof address) != 0)
      return "no connection";
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    EXPECT_GT(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), 0);
    std::string text;
    char bytes[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), bytes, sizeof bytes, 0)) > 0;) {
      text.append(bytes, static_cast<std::size_t>(n));
    }
    const auto body = text.find("\r\n\r\n");
    return text.substr(9, 3) + " " + (body == std::string::npos ? "" : text.substr(body + 4));
  }

  json Deployment(const std::string& app) {
    return Call("serve.status", {}).at("applications").at(app).at("deployments").at("Echo");
  }

  std::string home_;
  std::string folder_;
  std::string log_;
  int port_ = 0;
};

TEST_F(InstanceTest, ServesCppCodeWithoutPython) {
  StartHead();
  Listen();
  Deploy("a", {{"num_replicas", 2}, {"user_config", {{"k", 1}}}});
  ASSERT_TRUE(WaitRunning("a").ok());
  EXPECT_EQ(Get("/a/x?y=1"), "200 GET /a/x?y=1 ");
  EXPECT_EQ(Get("/a/config"), R"(200 {"k":1})");
  EXPECT_EQ(Get("/a/raise"), "500 Internal Server Error");
  EXPECT_EQ(Get("/-/healthz"), "200 success");
  EXPECT_EQ(Get("/-/routes"), R"(200 {"/a":"a"})");
  std::set<std::string> pids;
  EXPECT_TRUE(Eventually([&] { return pids.insert(Get("/a/pid")).second || pids.size() == 2; }));
  const std::string status = Penstock("status");
  EXPECT_THAT(status, HasSubstr("application a /a: RUNNING"));
  EXPECT_THAT(status, HasSubstr("OMP_NUM_THREADS=1 [num_cpus is not specified]"));
  Call("serve.delete", {{"app", "a"}});
  Call("serve.wait", {{"app", "a"}, {"until", "gone"}});
  EXPECT_THAT(Get("/a"), StartsWith("404"));
}

TEST_F(InstanceTest, AReplicaThatDiesIsReplaced) {
  StartHead();
  Listen();
  Deploy("a", {{"num_replicas", 2}});
  ASSERT_TRUE(WaitRunning("a").ok());
  EXPECT_THAT(Get("/a/die"), StartsWith("500"));
  EXPECT_TRUE(Eventually([&] {
    const json deployment = Deployment("a");
    return deployment.at("status") == "HEALTHY" &&
           deployment.at("replica_states") == json{{"RUNNING", 2}};
  }));
  EXPECT_THAT(Get("/a"), StartsWith("200"));
}

TEST_F(InstanceTest, TheWholeTreeOfAReplicaGoesWithIt) {
  StartHead();
  Listen();
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  const int daemon = std::stoi(Get("/a/daemon").substr(4));
  ASSERT_TRUE(Alive(daemon));
  Call("serve.delete", {{"app", "a"}});
  Call("serve.wait", {{"app", "a"}, {"until", "gone"}});
  EXPECT_FALSE(Alive(daemon)) << "gone before the application was said to be";
}

TEST_F(InstanceTest, AConstructorThatThrowsFailsTheDeployWithItsWords) {
  StartHead();
  Deploy("a", {{"ray_actor_options", {{"runtime_env", {{"env_vars", {{"ECHO_BROKEN", "1"}}}}}}}});
  const Status status = WaitRunning("a");
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("broken on purpose"));
  EXPECT_EQ(Deployment("a").at("status"), "DEPLOY_FAILED");
}

TEST_F(InstanceTest, TheControllerMayDieWhileTrafficGoesOn) {
  StartHead();
  Listen();
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  const std::string pid = Get("/a/pid");
  for (int i = 0; i < 3; ++i) {
    Shell("pkill -9 -f 'penstock controller --instance " + folder_ + "'");
    EXPECT_EQ(Get("/a/pid"), pid);
  }
  EXPECT_TRUE(Eventually([&] {
    const auto status = TryCall("serve.status", {});
    if (!status.ok()) return false;
    const json& apps = status->json.at("applications");
    return apps.contains("a") && apps.at("a").at("status") == "RUNNING" &&
           !status->json.at("proxies").empty();
  }));
  EXPECT_EQ(Get("/a/pid"), pid) << "the same process";
  Call("serve.delete", {{"app", "a"}});
  Call("serve.wait", {{"app", "a"}, {"until", "gone"}});
}

// A controller that did not hear of it, and the next one, took the replica for reconfigured.
TEST_F(InstanceTest, AConfigurationThatWasRefusedUnheardIsAskedForAgain) {
  StartHead();
  Listen();
  Deploy("a", {{"user_config", "first"}}, "v1");
  ASSERT_TRUE(WaitRunning("a").ok());
  // The shell's own command is not to have the pattern: it would be stopped too.
  const std::string controller = "'[p]enstock controller --instance " + folder_ + "'";
  Deploy("a", {{"user_config", "refuse"}}, "v1");
  // The order is on its way: a deploy is answered before.
  ASSERT_TRUE(Eventually([&] {
    return Deployment("a").at("replica_states") != json{{"RUNNING", 1}};
  }));
  Shell("pkill -STOP -f " + controller);
  ASSERT_TRUE(Eventually([&] { return Get("/a/refused") == "200 1"; }));
  Shell("pkill -9 -f " + controller);
  EXPECT_TRUE(Eventually([&] {
    const auto status = TryCall("serve.status", {});
    return status.ok() && status->json.at("applications").contains("a") &&
           Deployment("a").at("status") == "DEPLOY_FAILED";
  }));
}

// The new controller waits for the node that will not come back; routers go by what they know.
TEST_F(InstanceTest, ANodeAndTheControllerMayDieTogether) {
  StartHead("--num-cpus 1");
  Penstock("start --address=127.0.0.1:6399 --num-cpus 2");
  Listen();
  Deploy("a", {{"num_replicas", 2}});
  ASSERT_TRUE(WaitRunning("a").ok());
  Shell("pkill -9 -f 'penstock (controller|node) --instance " + folder_ + "'");
  bool told = false;
  EXPECT_TRUE(Eventually([&] {
    // 500 for what was sent to a replica before its end was heard of.
    EXPECT_THAT(Get("/a"), testing::AnyOf("200 GET /a ", StartsWith("500")));
    const auto status = TryCall("serve.status", {});
    told = told || (status.ok() && status->json.at("applications").contains("a"));
    return told && Get("/a") == "200 GET /a " &&
           TryCall("cluster.resources", {})->json.at("nodes").size() == 1 &&
           Deployment("a").at("replica_states") == json{{"RUNNING", 1}, {"STARTING", 1}};
  }));
}

TEST_F(InstanceTest, TheProxyMayDieWithoutARefusedConnection) {
  StartHead();
  Listen();
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  Shell("pkill -9 -f 'penstock proxy --instance " + folder_ + "'");
  EXPECT_TRUE(Eventually([&] { return Get("/a") == "200 GET /a "; }));
}

TEST_F(InstanceTest, OmpNumThreadsSetAtStartReachesTheReplicasOfThatNode) {
  StartHead("--num-cpus 1", "OMP_NUM_THREADS=12");
  Penstock("start --address=127.0.0.1:6399 --num-cpus 1 --resources '{\"second\": 1}'", 0,
           "OMP_NUM_THREADS=5");
  Listen();
  Deploy("a", {{"ray_actor_options", {{"num_cpus", 1}}}});
  Deploy("b", {{"ray_actor_options", {{"num_cpus", 1}, {"resources", {{"second", 1}}}}}});
  ASSERT_TRUE(WaitRunning("a").ok());
  ASSERT_TRUE(WaitRunning("b").ok());
  EXPECT_EQ(Get("/a/env/OMP_NUM_THREADS"), "200 12");
  EXPECT_EQ(Get("/b/env/OMP_NUM_THREADS"), "200 5");
}

TEST_F(InstanceTest, ALogicalNodeThatIsKilledTakesItsReplicasAndTheyMove) {
  StartHead("--num-cpus 1");
  Penstock("start --address=127.0.0.1:6399 --num-cpus 2");
  Listen();
  Deploy("a", {{"num_replicas", 2}});
  ASSERT_TRUE(WaitRunning("a").ok());
  Shell("pkill -9 -f 'penstock node --instance " + folder_ + "'");
  EXPECT_TRUE(Eventually([&] {
    const json deployment = Deployment("a");
    return deployment.at("replica_states") == json{{"RUNNING", 1}, {"STARTING", 1}};
  }));
  EXPECT_THAT(Penstock("status"),
              HasSubstr("waits: fits_later: nearest is node 'head': needs 1 CPU, 0 of 1 free"));
  Penstock("start --address=127.0.0.1:6399 --num-cpus 1");
  EXPECT_TRUE(Eventually([&] {
    return Deployment("a").at("replica_states") == json{{"RUNNING", 2}};
  }));
}

TEST_F(InstanceTest, DevicesAreAssignedAndShown) {
  StartHead("--num-cpus 4 --num-gpus 2 --resources '{\"HPU\": 2}'");
  Listen();
  Deploy("a", {{"ray_actor_options", {{"num_gpus", 0.5}}}});
  Deploy("b", {{"ray_actor_options", {{"num_gpus", 0.5}}}});
  Deploy("c", {{"ray_actor_options", {{"resources", {{"HPU", 1}}}}}});
  for (const char* app : {"a", "b", "c"}) ASSERT_TRUE(WaitRunning(app).ok());
  EXPECT_EQ(Get("/a/env/CUDA_VISIBLE_DEVICES"), "200 0");
  EXPECT_EQ(Get("/b/env/CUDA_VISIBLE_DEVICES"), "200 0");
  EXPECT_EQ(Get("/c/env/HABANA_VISIBLE_MODULES"), "200 0");
  EXPECT_EQ(Get("/c/env/CUDA_VISIBLE_DEVICES"), "200 (unset)");
  EXPECT_EQ(Deployment("a").at("replicas")[0].at("devices"),
            (json{{"GPU", {{{"id", "0"}, {"share", 0.5}}}}}));
}

TEST_F(InstanceTest, DevicesAreThoseThatTheNodeMaySee) {
  StartHead("--num-cpus 4 --num-gpus 2 --resources '{\"HPU\": 1}'",
            "CUDA_VISIBLE_DEVICES=5,GPU-3 HABANA_VISIBLE_MODULES=7,6");
  Listen();
  for (const char* app : {"a", "b"}) Deploy(app, {{"ray_actor_options", {{"num_gpus", 1}}}});
  Deploy("c", {{"ray_actor_options", {{"resources", {{"HPU", 1}}}}}});
  for (const char* app : {"a", "b", "c"}) ASSERT_TRUE(WaitRunning(app).ok());
  EXPECT_EQ(Get("/a/env/CUDA_VISIBLE_DEVICES"), "200 5");
  EXPECT_EQ(Get("/b/env/CUDA_VISIBLE_DEVICES"), "200 GPU-3");
  EXPECT_EQ(Get("/c/env/HABANA_VISIBLE_MODULES"), "200 7");
  EXPECT_EQ(Deployment("a").at("replicas")[0].at("devices"),
            (json{{"GPU", {{{"id", "5"}, {"share", 1.0}}}}}));
  EXPECT_THAT(
      Penstock("start --address=127.0.0.1:6399 --num-gpus 3", 1, "CUDA_VISIBLE_DEVICES=2,3"),
      HasSubstr("Attempting to start raylet with 3 GPU, but CUDA_VISIBLE_DEVICES contains "
                "['2', '3']."));
}

// As Ray's: what comes after a shutdown begins anew.
TEST_F(InstanceTest, AfterAShutdownTheProxyListensWhereItIsToldTo) {
  StartHead();
  Listen();
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  const int before = port_;
  EXPECT_EQ(Get("/a"), "200 GET /a ");
  Call("serve.shutdown", {});
  EXPECT_EQ(Get("/a"), "no connection");
  EXPECT_EQ(Call("serve.status", {}).at("proxies"), json::object());
  const auto free =
      *base::ListenTcp("127.0.0.1", 0);  // so that the old one is not just given again
  Listen();
  EXPECT_NE(port_, before);
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  EXPECT_EQ(Get("/a"), "200 GET /a ");
  Call("serve.shutdown", {});
  const json options = {{"http_options", {{"port", port_}}}};
  EXPECT_FALSE(Call("serve.start", options).at("options_ignored")) << "the same port, at once";
  EXPECT_NE(Get("/a"), "no connection");
}

TEST_F(InstanceTest, APortInUseIsAClearErrorAndNothingIsLeft) {
  StartHead();
  const auto taken = *base::ListenTcp("127.0.0.1", 0);
  const int port = base::LocalPort(taken);
  const auto answer = TryCall("serve.start", {{"http_options", {{"port", port}}}});
  EXPECT_THAT(answer.status().message(),
              HasSubstr("Failed to bind to address '127.0.0.1:" + std::to_string(port) + "'."));
  EXPECT_NE(Shell("pgrep -f '[p]enstock proxy --instance " + folder_ + "'"), 0);
  Listen();
}

TEST_F(InstanceTest, StopLeavesNoProcessBehind) {
  StartHead();
  Listen();
  Deploy("a", {{"num_replicas", 3}});
  ASSERT_TRUE(WaitRunning("a").ok());
  Penstock("stop");
  std::string left;
  Shell("pgrep -fa '[p]enstock .*" + folder_ + "'", &left);
  EXPECT_EQ(left, "");
  EXPECT_THAT(Penstock("status", 1), HasSubstr("no Penstock instance is running"));
}

int AgentOf(const std::string& folder) {
  return json::parse(*base::ReadFile(folder + "/info.json")).at("pid");
}

TEST_F(InstanceTest, AKilledAgentTakesTheWholeTreeAlong) {
  StartHead();
  Listen();
  Deploy("a");
  ASSERT_TRUE(WaitRunning("a").ok());
  const int daemon = std::stoi(Get("/a/daemon").substr(4));
  ASSERT_TRUE(Alive(daemon));
  ::kill(AgentOf(folder_), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !Alive(daemon); }));
  std::string left;
  EXPECT_TRUE(Eventually([&] {
    return Shell("pgrep -fa '[p]enstock .*" + folder_ + "'", &left) != 0;
  })) << left;
}

// The process id of an agent that was killed may be anybody's by now.
TEST_F(InstanceTest, StopTouchesNobodyElse) {
  StartHead();
  const std::string info = folder_ + "/info.json";
  const int agent = AgentOf(folder_);
  ::kill(agent, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !Alive(agent); }));
  const int stranger = ::fork();
  if (stranger == 0) {
    while (true) ::pause();
  }
  json text = json::parse(*base::ReadFile(info));
  text["pid"] = stranger;
  ASSERT_TRUE(base::WriteFileAtomic(info, text.dump()).ok());
  EXPECT_THAT(Penstock("stop"), HasSubstr("no instance is running"));
  EXPECT_THAT(Penstock("stop --address " + folder_, 1),
              HasSubstr("no Penstock instance is running"));
  EXPECT_THAT(Penstock("status", 1), HasSubstr("no Penstock instance is running"));
  EXPECT_EQ(::waitpid(stranger, nullptr, WNOHANG), 0) << "it lives";
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
}

// A service manager ends the process that it started, and it alone.
TEST_F(InstanceTest, ATerminatedBlockTakesItsInstanceAlong) {
  // When it runs, and while it starts.
  for (const std::string file : {"info.json", "logs"}) {
    const int launcher = ::fork();
    if (launcher == 0) {
      ::execl(PENSTOCK_BINARY, "penstock", "start", "--head", "--block", "--port", "6399", nullptr);
      ::_exit(127);
    }
    std::string folder;
    ASSERT_TRUE(Eventually([&] {
      for (const auto& name : base::ListDir(home_)) folder = home_ + "/" + name;
      return ::access((folder + "/" + file).c_str(), F_OK) == 0;
    }));
    ::kill(launcher, SIGTERM);
    int status = 0;
    ::waitpid(launcher, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    std::string left;
    EXPECT_NE(Shell("pgrep -fa '[p]enstock .*" + folder + "'", &left), 0) << left;
    base::RemoveTree(folder);
  }
}

TEST_F(InstanceTest, TheRootBelongsToItsUserAlone) {
  const std::string root = home_ + "/deep/root";
  ::setenv("PENSTOCK_HOME", root.c_str(), 1);
  StartHead();
  EXPECT_EQ(std::filesystem::status(root).permissions(), std::filesystem::perms::owner_all);
  EXPECT_EQ(std::filesystem::status(home_ + "/deep").permissions(),
            std::filesystem::perms::owner_all);
  Penstock("stop");
  ::chmod(root.c_str(), 0777);
  EXPECT_THAT(Penstock("start --head --port 6399", 1),
              HasSubstr("other users may write to '" + root));
  EXPECT_THAT(Penstock("status", 1), HasSubstr("other users may write to '" + root));
  EXPECT_THAT(Penstock("stop", 1), HasSubstr("other users may write to '" + root));
  ::setenv("PENSTOCK_HOME", home_.c_str(), 1);
}

TEST_F(InstanceTest, BadVariablesAreNamed) {
  const auto refused = [&](const std::string& variable) {
    return Penstock("start --head --port 6399", 1, variable);
  };
  EXPECT_THAT(refused("RAY_OVERRIDE_RESOURCES='{CPU: 1}'"),
              HasSubstr("RAY_OVERRIDE_RESOURCES must be a JSON object of amounts, e.g. "
                        "'{\"CPU\": 2}', got '{CPU: 1}'"));
  EXPECT_THAT(refused("RAY_OVERRIDE_LABELS='{\"zone\": 1}'"),
              HasSubstr("RAY_OVERRIDE_LABELS: the value of 'zone' must be a text, got 1"));
  EXPECT_THAT(refused("RAY_SERVE_SLOW_STARTUP_WARNING_S=soon"),
              HasSubstr("RAY_SERVE_SLOW_STARTUP_WARNING_S must be a number of seconds from 0 to "
                        "1e9, got 'soon'"));
  EXPECT_THAT(refused("RAY_SERVE_COMPACTION_TIMEOUT_S=-1"),
              HasSubstr("RAY_SERVE_COMPACTION_TIMEOUT_S must be a number of seconds"));
  StartHead("--labels zone=a,rack=1",
            "RAY_OVERRIDE_LABELS='{\"zone\": \"b\", \"ray.io/market-type\": \"spot\"}'");
  json labels = Call("cluster.resources", {}).at("nodes")[0].at("labels");
  labels.erase("ray.io/node-id");
  EXPECT_EQ(labels, (json{{"zone", "b"}, {"rack", "1"}, {"ray.io/market-type", "spot"}}));
}

TEST_F(InstanceTest, BadFlagsAreNamed) {
  EXPECT_THAT(Penstock("start", 1), HasSubstr("say either --head or --address"));
  EXPECT_THAT(Penstock("start --head --resources '{'", 1),
              HasSubstr("--resources must be a JSON object"));
  EXPECT_THAT(Penstock("start --head --resources '{\"a\": 1.5}'", 1),
              HasSubstr("must all be whole numbers"));
  EXPECT_THAT(Penstock("start --head --labels nope", 1), HasSubstr("--labels must be KEY=VALUE"));
  EXPECT_THAT(Penstock("start --head --labels ray.io/x=1", 1), HasSubstr("reserved"));
  EXPECT_THAT(Penstock("start --address=10.9.8.7:6379", 1), HasSubstr("ray engine"));
  EXPECT_THAT(Penstock("start --address=127.0.0.1:1", 1),
              HasSubstr("no Penstock instance is running"));
  StartHead();
  EXPECT_THAT(Penstock("start --head --port 6399", 1), HasSubstr("already running"));
}

}  // namespace
}  // namespace penstock
