// One TLS connection to a proxy under test. Nothing here waits: the test turns the loop.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace penstock::testing_support {

struct TlsClientOptions {
  std::string authority;    // PEM: who has to have signed the server's certificate
  std::string protocols;    // ALPN, each with its length before it; "" for none
  std::string certificate;  // PEM; "" for none
  std::string key;
  SSL_SESSION* session = nullptr;  // to resume
};

class TlsClient {
 public:
  TlsClient(int port, const TlsClientOptions& options) : context_(::SSL_CTX_new(TLS_method())) {
    Trust(options.authority);
    if (!options.certificate.empty()) Identify(options);
    ssl_.reset(::SSL_new(context_.get()));
    ::SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ::SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, nullptr);
    ::SSL_set1_host(ssl_.get(), "localhost");
    ::SSL_set_alpn_protos(ssl_.get(),
                          reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned>(options.protocols.size()));
    if (options.session != nullptr) ::SSL_set_session(ssl_.get(), options.session);
    Connect(port);
    ::SSL_set_fd(ssl_.get(), fd_.get());
    ::SSL_set_connect_state(ssl_.get());
  }

  void Send(std::string_view bytes) { unsent_ += bytes; }

  // Sends and reads what is possible now, at most `most` bytes of the latter.
  void Pump(std::size_t most = std::size_t{1} << 30) {
    ::ERR_clear_error();
    std::size_t n = 0;
    while (!unsent_.empty() &&
           Went(::SSL_write_ex(ssl_.get(), unsent_.data(), unsent_.size(), &n))) {
      unsent_.erase(0, n);
    }
    char bytes[16384];
    for (std::size_t read = 0; read < most; read += n) {
      if (!Went(::SSL_read_ex(ssl_.get(), bytes, sizeof bytes, &n))) return;
      text.append(bytes, n);
    }
  }

  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }

  bool agreed() const { return ::SSL_is_init_finished(ssl_.get()) != 0; }
  bool resumed() const { return ::SSL_session_reused(ssl_.get()) != 0; }

  // Of this connection, to be resumed by another. Owned by the caller.
  std::unique_ptr<SSL_SESSION, decltype(&::SSL_SESSION_free)> session() const {
    return {::SSL_get1_session(ssl_.get()), &::SSL_SESSION_free};
  }

  void Close() { fd_.Reset(); }

  std::string text;           // everything received
  bool said_goodbye = false;  // the server told that this is all
  bool closed = false;        // the connection ended, in whatever way

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
    void operator()(X509* certificate) const { ::X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(BIO* bio) const { ::BIO_free(bio); }
  };
  using Bio = std::unique_ptr<BIO, Free>;

  static Bio Reader(const std::string& text) {
    return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  }

  static std::unique_ptr<X509, Free> ReadCertificate(const std::string& text) {
    return std::unique_ptr<X509, Free>(
        ::PEM_read_bio_X509(Reader(text).get(), nullptr, nullptr, nullptr));
  }

  void Trust(const std::string& authority) {
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context_.get()),
                          ReadCertificate(authority).get());
  }

  void Identify(const TlsClientOptions& options) {
    ::SSL_CTX_use_certificate(context_.get(), ReadCertificate(options.certificate).get());
    const std::unique_ptr<EVP_PKEY, Free> key(
        ::PEM_read_bio_PrivateKey(Reader(options.key).get(), nullptr, nullptr, nullptr));
    EXPECT_EQ(::SSL_CTX_use_PrivateKey(context_.get(), key.get()), 1);
  }

  void Connect(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    void* raw = &address;
    EXPECT_EQ(::connect(fd_.get(), static_cast<sockaddr*>(raw), sizeof address), 0);
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }

  bool Went(int outcome) {
    if (outcome == 1) return true;
    const int why = ::SSL_get_error(ssl_.get(), outcome);
    said_goodbye = said_goodbye || why == SSL_ERROR_ZERO_RETURN;
    closed = closed || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE);
    return false;
  }

  base::UniqueFd fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string unsent_;
};

}  // namespace penstock::testing_support
