-- SPDX-License-Identifier: BSD-3-Clause
-- Wireshark dissector of Shareline's packets: what nodes of a secure storage network (ITU-T Y.3808) send each
-- other over UDP. docs/wire-format.md is the specification; names of fields are its names.
--
--   tshark -X lua_script:scripts/wireshark/shareline.lua -r capture.pcap -Y shareline
--
-- or put this file into Wireshark's folder of personal Lua plugins (Help, About, Folders). The UDP port is a
-- preference of the protocol; "Decode as" works too. What is under pad stays under pad: no key is asked for.

local shareline = Proto("shareline", "Shareline secure storage network")

local header_bytes, tag_bytes = 48, 16
local overhead_bytes = header_bytes + tag_bytes
local max_payload = 16384 - overhead_bytes

local types = {
  [1] = "cell", [2] = "keep order", [3] = "mask order", [4] = "acknowledgement", [5] = "pad gone",
  [6] = "read", [7] = "delete", [8] = "seal", [9] = "answer", [10] = "ping",
  [11] = "contribution", [12] = "challenge",
}
local codes = {
  [1] = "done", [2] = "not found", [3] = "incomplete", [4] = "quarantined", [5] = "read only",
  [6] = "disk full", [7] = "I/O error", [8] = "busy", [9] = "refused",
}
local kinds = { [1] = "received", [2] = "stored" }

local f = {
  version = ProtoField.uint8("shareline.version", "Version"),
  type = ProtoField.uint8("shareline.type", "Type", base.DEC, types),
  key_index = ProtoField.uint16("shareline.key_index", "Key index"),
  connection_id = ProtoField.uint32("shareline.connection_id", "Connection id", base.HEX),
  number = ProtoField.uint64("shareline.number", "Packet number"),
  d_offset = ProtoField.uint64("shareline.d_offset", "D offset"),
  object = ProtoField.uint64("shareline.object", "Object (or job)", base.HEX),
  cell = ProtoField.uint32("shareline.cell", "Cell"),
  generation = ProtoField.uint32("shareline.generation", "Generation"),
  block = ProtoField.uint64("shareline.block", "Block number (wire mode)"),
  attempt = ProtoField.uint16("shareline.attempt", "Attempt"),
  share = ProtoField.uint8("shareline.share", "Share index"),
  flags = ProtoField.uint8("shareline.flags", "Flags", base.HEX),
  computational = ProtoField.bool("shareline.flags.computational", "AES-256-GCM", 8, nil, 0x01),
  reserved = ProtoField.bytes("shareline.reserved", "Reserved"),
  tag = ProtoField.bytes("shareline.tag", "Tag"),
  payload = ProtoField.bytes("shareline.payload", "Payload under pad"),
  encrypted = ProtoField.bytes("shareline.encrypted", "Payload under AES-256-GCM"),
  order_cells = ProtoField.uint32("shareline.order.cells", "Cells"),
  order_cell_length = ProtoField.uint32("shareline.order.cell_length", "Cell length"),
  order_rows = ProtoField.uint16("shareline.order.rows", "Rows"),
  order_job = ProtoField.uint64("shareline.order.job", "Job"),
  order_round = ProtoField.uint16("shareline.order.round", "Round"),
  order_target = ProtoField.uint8("shareline.order.target", "Target share"),
  order_helpers = ProtoField.bytes("shareline.order.helpers", "Helpers"),
  order_check = ProtoField.bytes("shareline.order.check", "Check"),
  ack_kind = ProtoField.uint8("shareline.ack.kind", "Kind", base.DEC, kinds),
  ack_flags = ProtoField.uint8("shareline.ack.flags", "Flags of the packets", base.HEX),
  ack_key_index = ProtoField.uint16("shareline.ack.key_index", "Key index of the packets"),
  ack_delay = ProtoField.uint32("shareline.ack.delay", "Delay (microseconds)"),
  ack_credit = ProtoField.uint32("shareline.ack.credit", "Credit (cells)"),
  ack_ranges = ProtoField.uint16("shareline.ack.ranges", "Ranges"),
  ack_largest = ProtoField.uint64("shareline.ack.largest", "Largest packet number"),
  ack_bitmap = ProtoField.bytes("shareline.ack.bitmap", "Bitmap"),
  ack_below = ProtoField.uint64("shareline.ack.below", "D is done with below"),
  range_begin = ProtoField.uint64("shareline.ack.range.begin", "Begin"),
  range_end = ProtoField.uint64("shareline.ack.range.end", "End"),
  gone_type = ProtoField.uint8("shareline.gone.type", "Type of the packet", base.DEC, types),
  gone_key_index = ProtoField.uint16("shareline.gone.key_index", "Key index"),
  gone_length = ProtoField.uint32("shareline.gone.length", "Length of the range"),
  gone_number = ProtoField.uint64("shareline.gone.number", "Packet number"),
  gone_d_offset = ProtoField.uint64("shareline.gone.d_offset", "D offset"),
  request = ProtoField.uint64("shareline.request", "Request", base.HEX),
  read_count = ProtoField.uint16("shareline.read.count", "Count"),
  read_bitmap = ProtoField.bytes("shareline.read.bitmap", "Cells"),
  seal_cells = ProtoField.uint32("shareline.seal.cells", "Cells of the object"),
  seal_end = ProtoField.uint32("shareline.seal.end", "End"),
  seal_runs = ProtoField.uint16("shareline.seal.runs", "Runs"),
  run_first = ProtoField.uint32("shareline.seal.run.first", "First cell"),
  run_attempt = ProtoField.uint16("shareline.seal.run.attempt", "Attempt"),
  answer_type = ProtoField.uint8("shareline.answer.type", "Type of what is answered", base.DEC, types),
  answer_code = ProtoField.uint8("shareline.answer.code", "Code", base.DEC, codes),
  answer_count = ProtoField.uint16("shareline.answer.count", "Count"),
  answer_retry = ProtoField.uint32("shareline.answer.retry", "Retry after (microseconds)"),
  answer_bitmap = ProtoField.bytes("shareline.answer.bitmap", "Cells"),
  ping_d_below = ProtoField.uint64("shareline.ping.d_below", "D below"),
  challenge_seed = ProtoField.bytes("shareline.challenge.seed", "Seed"),
  ping_number_below = ProtoField.uint64("shareline.ping.number_below", "Number below"),
}
for _, field in pairs(f) do table.insert(shareline.fields, field) end

local e = {
  malformed = ProtoExpert.new("shareline.malformed", "Not a packet of this version",
    expert.group.MALFORMED, expert.severity.ERROR),
  reserved = ProtoExpert.new("shareline.reserved_bits", "Reserved bits are not 0",
    expert.group.PROTOCOL, expert.severity.WARN),
  alignment = ProtoExpert.new("shareline.alignment", "The D offset is no multiple of 64",
    expert.group.PROTOCOL, expert.severity.WARN),
  computational = ProtoExpert.new("shareline.lower_protection", "Protected by a cipher only",
    expert.group.SECURITY, expert.severity.NOTE),
}
shareline.experts = { e.malformed, e.reserved, e.alignment, e.computational }
shareline.prefs.port = Pref.uint("UDP port", 4404, "The UDP port of data planes")

local function expect(tree, buffer, bytes)
  if buffer:len() == bytes then return true end
  tree:add_proto_expert_info(e.malformed,
    string.format("%d bytes of payload, where this type has %d", buffer:len(), bytes))
  return false
end

local function keep_order(buffer, tree)
  if not expect(tree, buffer, 32) then return end
  tree:add(f.order_cells, buffer(0, 4))
  tree:add(f.order_cell_length, buffer(4, 4))
  tree:add(f.order_rows, buffer(8, 2))
  tree:add(f.order_check, buffer(16, 16))
end

local function mask_order(buffer, tree)
  if not expect(tree, buffer, 80) then return end
  tree:add(f.order_job, buffer(0, 8))
  tree:add(f.order_cells, buffer(8, 4))
  tree:add(f.order_cell_length, buffer(12, 4))
  tree:add(f.order_round, buffer(16, 2))
  tree:add(f.order_target, buffer(18, 1))
  tree:add(f.order_helpers, buffer(32, 32))
  tree:add(f.order_check, buffer(64, 16))
end

local function acknowledgement(buffer, tree)
  if buffer:len() < 72 then
    expect(tree, buffer, 72)
    return
  end
  local ranges = buffer(12, 2):uint()
  if not expect(tree, buffer, 72 + 16 * ranges) then return end
  tree:add(f.ack_kind, buffer(0, 1))
  tree:add(f.ack_flags, buffer(1, 1))
  tree:add(f.ack_key_index, buffer(2, 2))
  tree:add(f.ack_delay, buffer(4, 4))
  tree:add(f.ack_credit, buffer(8, 4))
  tree:add(f.ack_ranges, buffer(12, 2))
  tree:add(f.ack_largest, buffer(24, 8))
  tree:add(f.ack_bitmap, buffer(32, 32))
  tree:add(f.ack_below, buffer(64, 8))
  for i = 0, ranges - 1 do
    local range = buffer(72 + 16 * i, 16)
    local sub = tree:add(range, string.format("Range %d", i + 1))
    sub:add(f.range_begin, range(0, 8))
    sub:add(f.range_end, range(8, 8))
  end
end

local function pad_gone(buffer, tree)
  if not expect(tree, buffer, 24) then return end
  tree:add(f.gone_type, buffer(0, 1))
  tree:add(f.gone_key_index, buffer(2, 2))
  tree:add(f.gone_length, buffer(4, 4))
  tree:add(f.gone_number, buffer(8, 8))
  tree:add(f.gone_d_offset, buffer(16, 8))
end

local function read(buffer, tree)
  if not expect(tree, buffer, 48) then return end
  tree:add(f.request, buffer(0, 8))
  tree:add(f.read_count, buffer(8, 2))
  tree:add(f.read_bitmap, buffer(16, 32))
end

local function delete(buffer, tree)
  if not expect(tree, buffer, 8) then return end
  tree:add(f.request, buffer(0, 8))
end

local function seal(buffer, tree)
  if buffer:len() < 24 then
    expect(tree, buffer, 24)
    return
  end
  local runs = buffer(16, 2):uint()
  if not expect(tree, buffer, 24 + 8 * runs) then return end
  tree:add(f.request, buffer(0, 8))
  tree:add(f.seal_cells, buffer(8, 4))
  tree:add(f.seal_end, buffer(12, 4))
  tree:add(f.seal_runs, buffer(16, 2))
  for i = 0, runs - 1 do
    local run = buffer(24 + 8 * i, 8)
    local sub = tree:add(run, string.format("Run %d", i + 1))
    sub:add(f.run_first, run(0, 4))
    sub:add(f.run_attempt, run(4, 2))
  end
end

local function answer(buffer, tree)
  if not expect(tree, buffer, 48) then return end
  tree:add(f.answer_type, buffer(0, 1))
  tree:add(f.answer_code, buffer(1, 1))
  tree:add(f.answer_count, buffer(2, 2))
  tree:add(f.answer_retry, buffer(4, 4))
  tree:add(f.request, buffer(8, 8))
  tree:add(f.answer_bitmap, buffer(16, 32))
end

local function ping(buffer, tree)
  if not expect(tree, buffer, 16) then return end
  tree:add(f.ping_d_below, buffer(0, 8))
  tree:add(f.ping_number_below, buffer(8, 8))
end

local function challenge(buffer, tree)
  if not expect(tree, buffer, 32) then return end
  tree:add(f.challenge_seed, buffer(0, 32))
end

local clear_payloads = {
  [2] = keep_order, [3] = mask_order, [4] = acknowledgement, [5] = pad_gone, [6] = read, [7] = delete,
  [8] = seal, [9] = answer, [10] = ping, [12] = challenge,
}

local function header(buffer, tree)
  local sub = tree:add(buffer(0, header_bytes), "Header")
  sub:add(f.version, buffer(0, 1))
  sub:add(f.type, buffer(1, 1))
  sub:add(f.key_index, buffer(2, 2))
  sub:add(f.connection_id, buffer(4, 4))
  sub:add(f.number, buffer(8, 8))
  local d_offset = sub:add(f.d_offset, buffer(16, 8))
  if buffer(23, 1):uint() % 64 ~= 0 then d_offset:add_proto_expert_info(e.alignment) end
  sub:add(f.object, buffer(24, 8))
  sub:add(f.cell, buffer(32, 4))
  sub:add(f.generation, buffer(36, 4))
  local block = UInt64(buffer(32, 4):uint(), buffer(36, 4):uint())
  sub:add(f.block, buffer(32, 8), block):set_generated(true)
  sub:add(f.attempt, buffer(40, 2))
  sub:add(f.share, buffer(42, 1))
  local flags = sub:add(f.flags, buffer(43, 1))
  flags:add(f.computational, buffer(43, 1))
  if buffer(43, 1):uint() > 1 then flags:add_proto_expert_info(e.reserved) end
  if buffer(43, 1):uint() % 2 == 1 then flags:add_proto_expert_info(e.computational) end
  local reserved = sub:add(f.reserved, buffer(44, 4))
  if buffer(44, 4):uint() ~= 0 then reserved:add_proto_expert_info(e.reserved) end
  return block
end

local function describe(buffer, packet, block)
  local kind = buffer(1, 1):uint()
  local text = string.format("%s #%s", types[kind], tostring(buffer(8, 8):uint64()))
  if kind == 1 then
    text = text .. string.format(", object %s, block %s, share %d, %d bytes",
      buffer(24, 8):uint64():tohex(), tostring(block), buffer(42, 1):uint(),
      buffer:len() - overhead_bytes)
  end
  packet.cols.info = text
end

-- How many bytes are ours; 0: this is something else.
function shareline.dissector(buffer, packet, root)
  local bytes = buffer:len()
  if bytes <= overhead_bytes or bytes > overhead_bytes + max_payload or buffer:reported_len() ~= bytes then
    return 0
  end
  local kind = buffer(1, 1):uint()
  if buffer(0, 1):uint() ~= 1 or types[kind] == nil then return 0 end
  packet.cols.protocol = "Shareline"
  local tree = root:add(shareline, buffer())
  local block = header(buffer, tree)
  tree:add(f.tag, buffer(header_bytes, tag_bytes))
  local payload = buffer(overhead_bytes)
  if buffer(43, 1):uint() % 2 == 1 then
    tree:add(f.encrypted, payload)
  elseif kind == 1 or kind == 11 then
    tree:add(f.payload, payload)
  else
    clear_payloads[kind](payload:tvb(), tree:add(payload, types[kind]))
  end
  describe(buffer, packet, block)
  return bytes
end

local udp = DissectorTable.get("udp.port")
local registered = shareline.prefs.port
udp:add(registered, shareline)
function shareline.prefs_changed()
  if registered == shareline.prefs.port then return end
  udp:remove(registered, shareline)
  registered = shareline.prefs.port
  udp:add(registered, shareline)
end
