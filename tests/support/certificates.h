// Certificates for tests, made anew in each.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "penstock/check.h"

namespace penstock::testing_support {

struct KeyAndCertificate {
  std::string key;  // PEM
  std::string certificate;
};

// Signs certificates, its own among them.
class Authority {
 public:
  explicit Authority(const std::string& name = "test authority") : key_(MakeKey()) {
    certificate_ = Sign(*key_, name, name, *key_, "CA:TRUE", "");
  }

  std::string certificate() const { return Text(*certificate_); }

  // For "localhost" and the loopback address. With a password, the key is encrypted.
  KeyAndCertificate Issue(const std::string& password = "") const {
    const Key key = MakeKey();
    const auto issuer = ::X509_get_subject_name(certificate_.get());
    char name[100] = "";
    ::X509_NAME_get_text_by_NID(issuer, NID_commonName, name, sizeof name);
    const Certificate signed_by_us =
        Sign(*key, "localhost", name, *key_, "CA:FALSE", "DNS:localhost,IP:127.0.0.1");
    return {.key = Text(*key, password), .certificate = Text(*signed_by_us)};
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { ::X509_free(certificate); }
    void operator()(BIO* bio) const { ::BIO_free(bio); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  static Key MakeKey() { return Key(EVP_EC_gen("P-256")); }

  static void SetName(X509_NAME* to, const std::string& name) {
    ::X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  }

  static void Extend(X509* certificate, int what, const std::string& value) {
    if (value.empty()) return;
    X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    ::X509_add_ext(certificate, extension, -1);
    ::X509_EXTENSION_free(extension);
  }

  static Certificate Sign(EVP_PKEY& key, const std::string& subject, const std::string& issuer,
                          EVP_PKEY& by, const std::string& constraints, const std::string& names) {
    static long serial = 0;
    Certificate made(::X509_new());
    ::X509_set_version(made.get(), 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), ++serial);
    ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -3600);
    ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), 3600);
    SetName(::X509_get_subject_name(made.get()), subject);
    SetName(::X509_get_issuer_name(made.get()), issuer);
    ::X509_set_pubkey(made.get(), &key);
    Extend(made.get(), NID_basic_constraints, constraints);
    Extend(made.get(), NID_subject_alt_name, names);
    PENSTOCK_CHECK(::X509_sign(made.get(), &by, ::EVP_sha256()) > 0);
    return made;
  }

  static std::string Drain(BIO* bio) {
    char* bytes = nullptr;
    const long size = ::BIO_get_mem_data(bio, &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }

  static std::string Text(X509& certificate) {
    const std::unique_ptr<BIO, Free> bio(::BIO_new(::BIO_s_mem()));
    ::PEM_write_bio_X509(bio.get(), &certificate);
    return Drain(bio.get());
  }

  static std::string Text(EVP_PKEY& key, const std::string& password) {
    const std::unique_ptr<BIO, Free> bio(::BIO_new(::BIO_s_mem()));
    ::PEM_write_bio_PrivateKey(bio.get(), &key, password.empty() ? nullptr : ::EVP_aes_256_cbc(),
                               reinterpret_cast<const unsigned char*>(password.data()),
                               static_cast<int>(password.size()), nullptr, nullptr);
    return Drain(bio.get());
  }

  Key key_;
  Certificate certificate_;
};

}  // namespace penstock::testing_support
