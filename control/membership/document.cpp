// SPDX-License-Identifier: BSD-3-Clause
#include "document.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <ctime>
#include <optional>
#include <set>

#include "ssn/hw/config.h"

namespace ssn::membership {
namespace {

using controller::Protection;
using controller::Scheme;
using hw::ConfigTable;

constexpr std::string_view schema = "ssn.membership/1";
constexpr std::array<std::string_view, 1> schema_words{schema};
constexpr std::array<std::string_view, 2> role_words{"ssa", "shareholder"};
constexpr std::array<std::string_view, 3> protection_words{"none", "computational", "information-theoretic"};
constexpr std::array<Scheme, 4> all_schemes{Scheme::shamir, Scheme::shamir_classic, Scheme::ramp, Scheme::rs};
constexpr std::pair<Resharing, std::string_view> resharing_words[] = {
    {exchange, "exchange"}, {repair, "repair"}, {refresh, "refresh"}, {redistribute, "redistribute"}};
constexpr std::size_t text_max = 64;
constexpr std::size_t key_digits = 64;

std::string hexadecimal(const unsigned char* bytes, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

bool is_key(std::string_view text) {
  return text.size() == key_digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// "2026-11-23T08:00:00Z" and nothing else.
std::optional<std::int64_t> seconds_of(const std::string& text) {
  tm fields{};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &fields);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const std::int64_t seconds = ::timegm(&fields);
  return time_text(seconds) == text ? std::optional(seconds) : std::nullopt;
}

std::int64_t read_time(const ConfigTable& table, std::string_view key) {
  const std::string text = table.text(key, {.longest = text_max});
  const std::optional<std::int64_t> seconds = seconds_of(text);
  if (!seconds && !text.empty()) {
    table.fail(key, fmt::format("\"{}\" is no time", text), "write it in UTC: \"2026-11-23T08:00:00Z\"");
  }
  return seconds.value_or(0);
}

// Words of one line each: they stand in logs and tables.
std::string read_word(const ConfigTable& table, std::string_view key, std::optional<std::string> otherwise,
                      std::size_t longest) {
  std::string word = table.text(key, {.longest = longest}, std::move(otherwise));
  if (std::any_of(word.begin(), word.end(), [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    table.fail(key, "it has spaces, or characters that are not ASCII", "write a name, such as \"site-1\"");
  }
  return word;
}

std::vector<Scheme> read_schemes(const ConfigTable& table) {
  std::vector<Scheme> schemes;
  const std::vector<std::string> words = table.texts("schemes", all_schemes.size(), {.longest = text_max});
  for (const std::string& word : words) {
    const auto found = std::find_if(all_schemes.begin(), all_schemes.end(),
                                    [&](Scheme scheme) { return controller::name(scheme) == word; });
    if (found == all_schemes.end() || std::find(schemes.begin(), schemes.end(), *found) != schemes.end()) {
      table.fail("schemes", fmt::format("\"{}\" is no scheme, or stands there twice", word),
                 "name some of shamir, shamir-classic, ramp, rs");
      break;
    }
    schemes.push_back(*found);
  }
  if (words.empty()) {
    table.fail("schemes", "no scheme is permitted: nothing could be written",
               "name some of shamir, shamir-classic, ramp, rs");
  }
  return schemes;
}

std::uint8_t read_resharing(const ConfigTable& table) {
  std::uint8_t set = no_resharing;
  for (const std::string& word :
       table.texts("resharing", std::size(resharing_words), {.longest = text_max})) {
    const auto found = std::find_if(std::begin(resharing_words), std::end(resharing_words),
                                    [&](const auto& each) { return each.second == word; });
    if (found == std::end(resharing_words)) {
      table.fail("resharing", fmt::format("\"{}\" is no way to make shares anew", word),
                 "name some of exchange, repair, refresh, redistribute");
      break;
    }
    set = static_cast<std::uint8_t>(set | found->first);
  }
  return set;
}

Floor read_floor(const ConfigTable& table) {
  Floor floor;
  floor.minimum_t = static_cast<std::uint32_t>(table.integer("minimum_t", {0, controller::shares_max - 1}));
  floor.minimum_domains = static_cast<std::uint32_t>(
      table.integer("minimum_domains", {1, controller::shares_max}, floor.minimum_domains));
  const std::string word = table.choice("protection", protection_words);
  for (const Protection each :
       {Protection::none, Protection::computational, Protection::information_theoretic}) {
    if (controller::name(each) == word) floor.protection = each;
  }
  floor.schemes = read_schemes(table);
  floor.resharing = read_resharing(table);
  const bool codes = std::find(floor.schemes.begin(), floor.schemes.end(), Scheme::rs) != floor.schemes.end();
  if (codes && (floor.minimum_t != 0 || floor.protection != Protection::none)) {
    table.fail(
        "schemes", "rs hides nothing, so this floor never permits it",
        "leave it out; or set minimum_t = 0 and protection = \"none\", where data is protected already");
  }
  return floor;
}

Node read_node(const ConfigTable& table) {
  Node node;
  node.name = read_word(table, "name", std::nullopt, pki::common_name_max);
  node.role = table.choice("role", role_words) == role_words[0] ? pki::Role::ssa : pki::Role::shareholder;
  node.key = table.text("key", {.longest = key_digits});
  if (!node.key.empty() && !is_key(node.key)) {
    table.fail("key", "it is no SHA-256 of a public key",
               "write 64 hexadecimal digits in lower case: ssn membership node CERTIFICATE gives them");
  }
  node.domain = read_word(table, "domain", "", controller::label_max);
  return node;
}

void check_nodes(const ConfigTable& root, const Document& document) {
  std::set<std::string> names, keys, domains;
  for (const Node& node : document.nodes) {
    if (!names.insert(node.name).second) {
      root.fail("node", fmt::format("{} stands there twice", node.name), "leave one of them out");
    }
    if (!keys.insert(node.key).second) {
      root.fail("node", fmt::format("the key of {} is another node's, too", node.name),
                "give each node a key of its own");
    }
    if (node.role == pki::Role::shareholder && !node.domain.empty()) domains.insert(node.domain);
  }
  if (document.nodes.empty()) root.fail("node", "it lists no node", "add a [[node]] for each");
  if (document.floor.minimum_domains > 1 && document.floor.minimum_domains > domains.size()) {
    root.table("floor").fail("minimum_domains",
                             fmt::format("the shareholders lie in {} domains", domains.size()),
                             "say each one's domain, or ask for fewer");
  }
}

std::string floor_text(const Floor& floor) {
  std::string schemes;
  for (const Scheme each : floor.schemes) {
    schemes += (schemes.empty() ? "" : ", ") + std::string(controller::name(each));
  }
  return fmt::format("t {}, domains {}, {}, schemes {}, re-sharing {}", floor.minimum_t,
                     floor.minimum_domains, controller::name(floor.protection), schemes,
                     names_of(floor.resharing));
}

std::string node_text(const Node& node) {
  return fmt::format("{}, domain {}, key {}", pki::name(node.role), node.domain.empty() ? "-" : node.domain,
                     node.key.substr(0, 16));
}

}  // namespace

std::string time_text(std::int64_t seconds) {
  const std::time_t time = seconds;
  tm fields{};
  char text[text_max] = "";
  if (::gmtime_r(&time, &fields) != nullptr) {
    (void)std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &fields);
  }
  return text;
}

std::string digest_of(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  [[maybe_unused]] const int good =
      EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  assert(good == 1 && "SHA-256 of memory cannot fail");
  return hexadecimal(digest, length);
}

std::string key_of(const X509& certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (length <= 0) return "";
  std::string key = digest_of({reinterpret_cast<const char*>(der), static_cast<std::size_t>(length)});
  OPENSSL_free(der);
  return key;
}

std::string names_of(std::uint8_t resharing) {
  std::string all;
  for (const auto& [operation, word] : resharing_words) {
    if ((resharing & operation) != 0) all += (all.empty() ? "" : ", ") + std::string(word);
  }
  return all.empty() ? "none" : all;
}

const Node* Document::node(std::string_view name) const noexcept {
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [&](const Node& each) { return each.name == name; });
  return found == nodes.end() ? nullptr : &*found;
}

Result<Document> parse(std::string_view text, const std::string& file) {
  if (text.size() > document_max) {
    return Error{Exit::usage, "cannot read the membership",
                 fmt::format("it is larger than {} KiB", document_max >> 10), file, "list fewer nodes"};
  }
  Result<hw::Config> config = hw::Config::parse(text, file);
  if (!config.ok()) return config.error();
  const ConfigTable root = config.value().root();
  Document document;
  (void)root.choice("schema", schema_words);
  document.network = read_word(root, "network", std::nullopt, text_max);
  document.serial = static_cast<std::uint64_t>(root.integer("serial", {1, INT64_MAX}));
  document.from = read_time(root, "from");
  document.until = read_time(root, "until");
  if (document.until <= document.from && document.until != 0) {
    root.fail("until", "it ends before it begins", "write a later time");
  }
  document.floor = read_floor(root.table("floor"));
  for (const ConfigTable& node : root.tables("node", nodes_max)) document.nodes.push_back(read_node(node));
  check_nodes(root, document);
  if (Outcome outcome = config.value().finish(); !outcome.ok()) return outcome.error();
  document.digest = digest_of(text);
  return document;
}

std::vector<std::string> differences(const Document& before, const Document& after) {
  std::vector<std::string> lines;
  if (before.network != after.network) {
    lines.push_back(fmt::format("network: {} -> {}", before.network, after.network));
  }
  if (const std::string one = floor_text(before.floor), other = floor_text(after.floor); one != other) {
    lines.push_back(fmt::format("floor: {} -> {}", one, other));
  }
  for (const Node& node : before.nodes) {
    const Node* const now = after.node(node.name);
    if (now == nullptr) {
      lines.push_back(fmt::format("- {}: {}", node.name, node_text(node)));
    } else if (now->role != node.role || now->domain != node.domain || now->key != node.key) {
      lines.push_back(fmt::format("~ {}: {} -> {}", node.name, node_text(node), node_text(*now)));
    }
  }
  for (const Node& node : after.nodes) {
    if (before.node(node.name) == nullptr) {
      lines.push_back(fmt::format("+ {}: {}", node.name, node_text(node)));
    }
  }
  return lines;
}

}  // namespace ssn::membership
