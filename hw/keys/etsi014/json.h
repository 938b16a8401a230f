// SPDX-License-Identifier: BSD-3-Clause
// The JSON of ETSI GS QKD 014. Reading never copies a key: it finds where the text of each one lies. Unknown
// members are passed over; what is missing or of another type than the standard wants is tolerated where
// something sensible can be made of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::hw::etsi014 {

/// Reads answers. Keeps its working memory, which never holds any of a key. One thread.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  /// The body must have body_slack bytes behind it, which are overwritten.
  Result<KmeStatus> status(Body& body);
  /// Also replaces escaped characters in the text of keys, in place.
  Result<KeyContainer> keys(Body& body);
  /// "message" of the standard's Error, shortened and made printable; empty where there is none.
  std::string error_message(Body& body);
  /// Whether it is an array of objects, as the members extension_* must be.
  bool is_array_of_objects(std::string_view text);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// The body of Get key. `size` is in bits; 0: the key manager's own. The extensions are arrays as text, or
/// empty.
std::string key_request_json(std::uint64_t number, std::uint64_t size, std::string_view extension_mandatory,
                             std::string_view extension_optional);
/// The body of Get key with key IDs.
std::string key_ids_json(const std::vector<KeyId>& ids);
/// A SAE ID as a path segment (RFC 3986, 2.1).
std::string percent_encoded(std::string_view text);

}  // namespace ssn::hw::etsi014
