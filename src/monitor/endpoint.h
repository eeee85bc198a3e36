// `GET /metrics` on a listening socket: one request a connection.
//
// Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/loop.h"

namespace penstock::monitor {

class Endpoint final : private base::FdHandler {
 public:
  // Makes the page and passes it on, at once or later.
  using Page = std::function<void(std::function<void(std::string)>)>;

  // `listener` is bound and listening.
  Endpoint(base::Loop& loop, base::UniqueFd listener, Page page);
  ~Endpoint() override;

  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

 private:
  class Visit;

  void OnEvents(std::uint32_t events) override;
  void Drop(const Visit& visit);

  base::Loop& loop_;
  base::UniqueFd listener_;
  Page page_;
  std::map<const Visit*, std::shared_ptr<Visit>> visits_;
};

}  // namespace penstock::monitor
