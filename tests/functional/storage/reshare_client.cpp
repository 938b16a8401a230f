// SPDX-License-Identifier: BSD-3-Clause
// Plays the controller's part in re-sharing for tests: one call of service Resharing over a node's local
// socket, the request as JSON on standard input, what came of it as JSON, too.
//
//   reshare-client SOCKET order|cancel|list|erase
//   reshare-client ADDRESS stat CA CERTIFICATE KEY     what the controller knows of an object, as its owner
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "controller.grpc.pb.h"
#include "operation.grpc.pb.h"

namespace {

namespace api = ssn::dataplane::v1;
using google::protobuf::Message;

constexpr std::chrono::seconds patience{30};

bool read(Message& message) {
  const std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &message);
  if (!parsed.ok()) std::cerr << "no such request: " << parsed.ToString() << '\n';
  return parsed.ok();
}

int show(const grpc::Status& status, const Message& answer) {
  if (!status.ok()) {
    std::cerr << status.error_message() << '\n';
    return 1;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(answer, &text, options).ok()) return 1;
  std::cout << text << '\n';
  return 0;
}

template <typename Request, typename Answer, typename Call>
int ask(Call call) {
  Request request;
  Answer answer;
  if (!read(request)) return 2;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  const grpc::Status status = call(context, request, answer);
  return show(status, answer);
}

int list(api::Resharing::Stub& stub) {
  return ask<api::ListResharesRequest, api::ReshareList>(
      [&](grpc::ClientContext& context, api::ListResharesRequest& request, api::ReshareList& answer) {
        request.set_lists(1);
        const auto reader = stub.ListReshares(&context, request);
        reader->Read(&answer);
        return reader->Finish();
      });
}

int run(api::Resharing::Stub& stub, const std::string& command) {
  if (command == "order") {
    return ask<api::ReshareOrder, api::ReshareAnswer>([&](auto& context, auto& request, auto& answer) {
      return stub.OrderReshare(&context, request, &answer);
    });
  }
  if (command == "cancel") {
    return ask<api::CancelReshareRequest, api::CancelReshareAnswer>(
        [&](auto& context, auto& request, auto& answer) {
          return stub.CancelReshare(&context, request, &answer);
        });
  }
  if (command == "erase") {
    return ask<api::EraseRequest, api::EraseAnswer>(
        [&](auto& context, auto& request, auto& answer) { return stub.Erase(&context, request, &answer); });
  }
  return command == "list" ? list(stub) : 2;
}

std::string file(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

int stat(char** arguments) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = file(arguments[3]);
  options.pem_cert_chain = file(arguments[4]);
  options.pem_private_key = file(arguments[5]);
  grpc::ChannelArguments settings;
  settings.SetSslTargetNameOverride("controller");
  const auto channel = grpc::CreateCustomChannel(arguments[1], grpc::SslCredentials(options), settings);
  const auto stub = ssn::controller::v1::Objects::NewStub(channel);
  return ask<ssn::controller::v1::StatRequest, ssn::controller::v1::Object>(
      [&](auto& context, auto& request, auto& answer) { return stub->Stat(&context, request, &answer); });
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 6 && std::string(arguments[2]) == "stat") return stat(arguments);
  if (count != 3) {
    std::cerr << "usage: reshare-client SOCKET order|cancel|list|erase\n"
                 "       reshare-client ADDRESS stat CA CERTIFICATE KEY\n";
    return 2;
  }
  const auto channel =
      grpc::CreateChannel(std::string("unix:") + arguments[1], grpc::InsecureChannelCredentials());
  return run(*api::Resharing::NewStub(channel), arguments[2]);
}
