// TLS on a connected socket, by OpenSSL.
//
// Records are read one at a time and whole: what was not asked for stays with the kernel, so the
// loop's readiness says all there is to know.
//
// Thread: the proxy's loop. A context may be shared.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"

namespace penstock::proxy {

// Paths of files in PEM form, as `http_options` names them.
struct TlsOptions {
  std::string keyfile;
  std::string certfile;          // the server's certificate, then those between it and a root
  std::string keyfile_password;  // "" for a key that is not encrypted
  std::string ca_certs;  // when set, clients need a certificate that one of these has signed
  // False when the options ask for no TLS at all.
  bool enabled() const { return !keyfile.empty() || !certfile.empty() || !ca_certs.empty(); }
};

// Key, certificates and rules: what all connections share.
class TlsContext {
  struct Key {
    explicit Key() = default;
  };

 public:
  // `protocols`: what this server speaks, the dearest first (ALPN). kInvalidArgument, naming the
  // option and the file, when they cannot be used.
  static Result<std::shared_ptr<const TlsContext>> Load(const TlsOptions& options,
                                                        const std::vector<std::string>& protocols);

  explicit TlsContext(Key);
  ~TlsContext();

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  struct State;
  std::unique_ptr<State> state_;
};

// One connection's.
class TlsSession {
 public:
  enum class Step {
    kDone,
    kWantRead,
    kWantWrite,
    kFailed,  // close it: the client speaks no TLS, or none that we take
  };

  // `socket` is borrowed. Pre: it is non-blocking.
  TlsSession(const TlsContext& context, int socket);
  ~TlsSession();

  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Goes on with the handshake. To be called until it is done or failed, and nothing else before.
  Step Handshake();

  // The protocol that was agreed on; "" when the client named none of ours.
  std::string_view protocol() const;

  // As recv(2): -1 and EAGAIN when nothing more is there, 0 when the client says no more.
  ssize_t Receive(char* buffer, std::size_t size);

  // As sendmsg(2), whose parts come one after another: how many bytes went, or -1 and EAGAIN.
  // What did not go must be the beginning of the next call.
  ssize_t Send(std::span<const iovec> parts);

  // Tells the client that what it has is all, and no more was cut off. Sends it if there is room.
  void EndSending();

 private:
  ssize_t SendPart(const iovec& part);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::proxy
