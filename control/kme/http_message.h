// SPDX-License-Identifier: BSD-3-Clause
// Requests and answers as the parts of the key manager see them, without any HTTP library.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "key_container.h"

namespace ssn::kme {

struct HttpRequest {
  std::string_view caller;  ///< common name of the client's certificate, which was verified
  std::string_view method;
  std::string_view target;  ///< as it was sent: path and query, not decoded
  std::string_view content_type;
  std::string_view body;
};

struct HttpResponse {
  int status = 200;
  std::string body;                          ///< JSON; empty: none
  std::string allow;                         ///< with status 405
  std::shared_ptr<const KeyContainer> keys;  ///< instead of `body`
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

}  // namespace ssn::kme
