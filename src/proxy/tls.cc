#include "proxy/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/file.h"
#include "penstock/check.h"

namespace penstock::proxy {
namespace {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<::SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<::SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<::BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<::EVP_PKEY_free>>;

// ---- files --------------------------------------------------------------------------------

Status Wrong(const char* option, const std::string& path, const std::string& what) {
  return InvalidArgument(std::string("http_options.") + option + ": the file '" + path + "' " +
                         what);
}

Result<std::string> Read(const char* option, const std::string& path) {
  auto text = base::ReadFile(path);
  if (text.ok()) return text;
  return InvalidArgument(std::string("http_options.") + option + ": " + text.status().message());
}

// What a key's reader asks for, and whether it did.
struct Password {
  const std::string& text;
  bool asked = false;
};

int TellPassword(char* buffer, int size, int, void* data) {
  auto& password = *static_cast<Password*>(data);
  password.asked = true;
  if (password.text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(password.text.begin(), password.text.end(), buffer);
  return static_cast<int>(password.text.size());
}

Status UseCertificate(SSL_CTX* context, const TlsOptions& options) {
  if (const auto text = Read("ssl_certfile", options.certfile); !text.ok()) return text.status();
  if (::SSL_CTX_use_certificate_chain_file(context, options.certfile.c_str()) == 1) return {};
  return Wrong("ssl_certfile", options.certfile, "holds no certificate in PEM form");
}

Status UseKey(SSL_CTX* context, const TlsOptions& options) {
  const auto text = Read("ssl_keyfile", options.keyfile);
  if (!text.ok()) return text.status();
  const BioPtr bytes(::BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  Password password{options.keyfile_password};
  const KeyPtr key(::PEM_read_bio_PrivateKey(bytes.get(), nullptr, &TellPassword, &password));
  if (!key && password.asked) {
    const bool given = !password.text.empty();
    return InvalidArgument("http_options.ssl_keyfile_password: the key in '" + options.keyfile +
                           "' is encrypted" +
                           (given ? ", and this password does not open it" : ": it is needed"));
  }
  if (!key) return Wrong("ssl_keyfile", options.keyfile, "holds no private key in PEM form");
  if (::SSL_CTX_use_PrivateKey(context, key.get()) == 1) return {};
  return Wrong("ssl_keyfile", options.keyfile,
               "is not the key of the certificate in '" + options.certfile + "'");
}

Status UseAuthorities(SSL_CTX* context, const std::string& path) {
  if (path.empty()) return {};
  if (const auto text = Read("ssl_ca_certs", path); !text.ok()) return text.status();
  const bool loaded = ::SSL_CTX_load_verify_locations(context, path.c_str(), nullptr) == 1;
  STACK_OF(X509_NAME)* names = loaded ? ::SSL_load_client_CA_file(path.c_str()) : nullptr;
  if (names == nullptr) return Wrong("ssl_ca_certs", path, "holds no certificate in PEM form");
  ::SSL_CTX_set_client_CA_list(context, names);
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return {};
}

// ---- the socket ---------------------------------------------------------------------------

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL.
int SocketOf(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(::BIO_get_data(bio)));
}

int ReadSocket(BIO* bio, char* buffer, int size) {
  const auto n = ::recv(SocketOf(bio), buffer, static_cast<std::size_t>(size), 0);
  ::BIO_clear_retry_flags(bio);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) ::BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

int WriteSocket(BIO* bio, const char* bytes, int size) {
  ssize_t n = 0;
  do {
    n = ::send(SocketOf(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  ::BIO_clear_retry_flags(bio);
  if (n < 0 && errno == EAGAIN) ::BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long ControlSocket(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;  // nothing is kept here
}

BIO_METHOD* SocketMethod() {
  static const std::unique_ptr<BIO_METHOD, Freed<::BIO_meth_free>> method = [] {
    std::unique_ptr<BIO_METHOD, Freed<::BIO_meth_free>> made(
        ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals"));
    ::BIO_meth_set_read(made.get(), &ReadSocket);
    ::BIO_meth_set_write(made.get(), &WriteSocket);
    ::BIO_meth_set_ctrl(made.get(), &ControlSocket);
    return made;
  }();
  return method.get();
}

}  // namespace

// ---- the context --------------------------------------------------------------------------

struct TlsContext::State {
  ContextPtr context;
  std::vector<unsigned char> protocols;  // each with its length before it

  // Ours decide the order. A client that knows none of them goes on without.
  static int Choose(SSL*, const unsigned char** chosen, unsigned char* length,
                    const unsigned char* offered, unsigned int size, void* data) {
    const auto& ours = static_cast<State*>(data)->protocols;
    unsigned char* match = nullptr;
    if (::SSL_select_next_proto(&match, length, ours.data(), static_cast<unsigned>(ours.size()),
                                offered, size) != OPENSSL_NPN_NEGOTIATED) {
      return SSL_TLSEXT_ERR_NOACK;
    }
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
  }
};

TlsContext::TlsContext(Key) : state_(std::make_unique<State>()) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::Load(
    const TlsOptions& options, const std::vector<std::string>& protocols) {
  if (options.certfile.empty()) {
    return InvalidArgument(
        std::string("http_options.") + (options.keyfile.empty() ? "ssl_ca_certs" : "ssl_keyfile") +
        ": needs ssl_certfile beside it, without which nothing would be encrypted");
  }
  auto loaded = std::make_shared<TlsContext>(Key());
  State& state = *loaded->state_;
  state.context.reset(::SSL_CTX_new(::TLS_server_method()));
  SSL_CTX* context = state.context.get();
  PENSTOCK_CHECK(context != nullptr);
  ::ERR_clear_error();
  for (Status bad : {UseCertificate(context, options), UseKey(context, options),
                     UseAuthorities(context, options.ca_certs)}) {
    ::ERR_clear_error();
    if (!bad.ok()) return bad;
  }
  ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  ::SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
  // Idle connections keep no buffers; what is sent again after a wait may have moved.
  ::SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Without a name of their own, sessions of clients with certificates cannot be resumed.
  constexpr std::string_view kName = "penstock";
  ::SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()),
                                   kName.size());
  for (const std::string& protocol : protocols) {
    state.protocols.push_back(static_cast<unsigned char>(protocol.size()));
    state.protocols.insert(state.protocols.end(), protocol.begin(), protocol.end());
  }
  ::SSL_CTX_set_alpn_select_cb(context, &State::Choose, &state);
  return std::shared_ptr<const TlsContext>(std::move(loaded));
}

// ---- the session --------------------------------------------------------------------------

struct TlsSession::State {
  SslPtr ssl;
  bool failed = false;
};

TlsSession::TlsSession(const TlsContext& context, int socket) : state_(std::make_unique<State>()) {
  state_->ssl.reset(::SSL_new(context.state_->context.get()));
  BIO* bio = ::BIO_new(SocketMethod());
  PENSTOCK_CHECK(state_->ssl && bio != nullptr);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it is OpenSSL's way to hand over a number
  ::BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(state_->ssl.get(), bio, bio);
  ::SSL_set_accept_state(state_->ssl.get());
}

TlsSession::~TlsSession() = default;

TlsSession::Step TlsSession::Handshake() {
  ::ERR_clear_error();
  const int done = ::SSL_do_handshake(state_->ssl.get());
  if (done == 1) return Step::kDone;
  switch (::SSL_get_error(state_->ssl.get(), done)) {
    case SSL_ERROR_WANT_READ:
      return Step::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Step::kWantWrite;
    default:
      state_->failed = true;
      ::ERR_clear_error();
      return Step::kFailed;
  }
}

std::string_view TlsSession::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  ::SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

ssize_t TlsSession::Receive(char* buffer, std::size_t size) {
  ::ERR_clear_error();
  std::size_t n = 0;
  const int done = ::SSL_read_ex(state_->ssl.get(), buffer, size, &n);
  if (done == 1) return static_cast<ssize_t>(n);
  const int why = ::SSL_get_error(state_->ssl.get(), done);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  state_->failed = why != SSL_ERROR_ZERO_RETURN;
  ::ERR_clear_error();
  return 0;  // it ended, with or without a word
}

ssize_t TlsSession::SendPart(const iovec& part) {
  std::size_t sent = 0;
  while (sent < part.iov_len) {
    std::size_t n = 0;
    ::ERR_clear_error();
    const int done = ::SSL_write_ex(
        state_->ssl.get(), static_cast<const char*>(part.iov_base) + sent, part.iov_len - sent, &n);
    if (done == 1) {
      sent += n;
      continue;
    }
    const int why = ::SSL_get_error(state_->ssl.get(), done);
    const bool later = why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ;
    state_->failed = state_->failed || !later;
    ::ERR_clear_error();
    if (later && sent > 0) break;
    errno = later ? EAGAIN : EPIPE;
    return -1;
  }
  return static_cast<ssize_t>(sent);
}

ssize_t TlsSession::Send(std::span<const iovec> parts) {
  ssize_t sent = 0;
  for (const iovec& part : parts) {
    const ssize_t n = SendPart(part);
    if (n < 0) return sent > 0 && errno == EAGAIN ? sent : -1;
    sent += n;
    if (static_cast<std::size_t>(n) < part.iov_len) break;
  }
  return sent;
}

void TlsSession::EndSending() {
  if (state_->failed || ::SSL_in_init(state_->ssl.get()) != 0) return;
  ::SSL_shutdown(state_->ssl.get());
  ::ERR_clear_error();
}

}  // namespace penstock::proxy
