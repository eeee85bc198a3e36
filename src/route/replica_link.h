// The connection from a router to one replica, and what the router knows of it.
//
// Thread: the router's loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/connection.h"
#include "base/loop.h"
#include "route/pick.h"
#include "route/table.h"

namespace penstock::route {

class DeploymentQueue;
class Exchange;

class ReplicaLink {
 public:
  // `queue` outlives the link. Connects at once, and again until it succeeds or is dropped.
  ReplicaLink(base::Loop& loop, ReplicaRoute route, DeploymentQueue& queue);
  ~ReplicaLink();

  ReplicaLink(const ReplicaLink&) = delete;
  ReplicaLink& operator=(const ReplicaLink&) = delete;

  // What Pick needs, given how many requests one replica may run.
  Candidate Look(int max_ongoing_requests) const;

  // What PickForModel needs.
  Candidate Look(int max_ongoing_requests, const std::string& model) const;

  // Models that are there or being loaded, as last heard; in order.
  const std::vector<std::string>& models() const { return models_; }

  // What its code last told routers, as JSON; "" for nothing.
  const std::string& stats() const { return stats_; }

  // True once the replica has told of models: its code keeps some.
  bool keeps_models() const { return keeps_models_; }

  // True when it can be reached and is not leaving.
  bool alive() const { return !leaving_ && connection_ && connection_->open(); }

  // Sends a request. Pre: alive(), and Look().open unless it is pinned to this replica.
  void Send(const std::shared_ptr<Exchange>& exchange);

  // Nothing new goes here; what runs may finish.
  void Leave() { leaving_ = true; }

  // Requests sent and not yet answered.
  std::size_t in_flight() const { return streams_.size(); }

  // The replica behind it.
  const ReplicaRoute& route() const { return route_; }

  // For Exchange.
  void SendBody(std::uint32_t stream, std::string_view piece, bool end);
  void SendCredit(std::uint32_t stream, std::uint32_t bytes);
  void Cancel(std::uint32_t stream);

 private:
  void Connect();
  void OnFrame(const base::Frame& frame);
  void OnReplyFrame(const base::Frame& frame);
  static void Deliver(Exchange& exchange, const base::Frame& frame, bool end);
  std::uint32_t Mine() const { return static_cast<std::uint32_t>(streams_.size() - answered_); }
  void OnRefuse(const base::Frame& frame);
  void OnGoAway(std::uint32_t last_admitted);
  void OnModels(std::string_view payload);
  void OnClosed();
  void FailStreams(const std::string& why);
  void Heard(std::uint32_t ongoing);

  base::Loop& loop_;
  ReplicaRoute route_;
  DeploymentQueue& queue_;
  std::shared_ptr<base::Connection> connection_;
  base::Loop::TimerId retry_ = 0;
  Duration retry_delay_{};
  std::map<std::uint32_t, std::shared_ptr<Exchange>> streams_;
  std::size_t answered_ = 0;  // of them, those whose reply only waits to be read
  std::uint32_t next_stream_ = 1;
  std::vector<std::string> models_;
  std::string stats_;
  std::uint32_t others_ = 0;  // requests of other routers that it runs, as last heard
  bool full_ = false;         // it refused one and has not said since that a slot is free
  bool leaving_ = false;
  bool keeps_models_ = false;
};

}  // namespace penstock::route
