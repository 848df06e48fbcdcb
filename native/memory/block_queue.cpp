#include "memory/block_queue.h"

#include <algorithm>
#include <cstring>

namespace sidetone {

bool BlockQueue::append(const uint8_t* data, size_t count) {
  const size_t room = tail_ ? Block::kDataBytes - tailUsed_ : 0;
  const size_t blocksNeeded = count <= room ? 0 : (count - room + Block::kDataBytes - 1) / Block::kDataBytes;
  if (blocksNeeded > 0 && pool_->blocksLeft() < blocksNeeded) return false;

  while (count > 0) {
    if (!tail_ || tailUsed_ == Block::kDataBytes) {
      Block* block = pool_->take();
      if (!block) return false;  // cannot happen: blocksLeft() was enough
      (tail_ ? tail_->next : head_) = block;
      tail_ = block;
      tailUsed_ = 0;
    }
    const size_t part = std::min(count, Block::kDataBytes - tailUsed_);
    std::memcpy(tail_->data + tailUsed_, data, part);
    tailUsed_ += part;
    bytes_ += part;
    data += part;
    count -= part;
  }
  return true;
}

bool BlockQueue::prepend(const uint8_t* data, size_t count) {
  if (!head_) return append(data, count);
  const size_t blocksNeeded =
      count <= headOffset_ ? 0 : (count - headOffset_ + Block::kDataBytes - 1) / Block::kDataBytes;
  if (blocksNeeded > 0 && pool_->blocksLeft() < blocksNeeded) return false;

  while (count > 0) {
    if (headOffset_ == 0) {
      Block* block = pool_->take();
      if (!block) return false;  // cannot happen: blocksLeft() was enough
      block->next = head_;
      head_ = block;
      headOffset_ = Block::kDataBytes;
    }
    const size_t part = std::min(count, headOffset_);
    headOffset_ -= part;
    count -= part;
    bytes_ += part;
    std::memcpy(head_->data + headOffset_, data + count, part);
  }
  return true;
}

void BlockQueue::read(uint8_t* out, size_t count) {
  peek(0, out, count);
  drop(count);
}

void BlockQueue::drop(size_t count) {
  bytes_ -= count;
  while (count > 0) {
    const size_t inHead = (head_ == tail_ ? tailUsed_ : Block::kDataBytes) - headOffset_;
    const size_t part = std::min(count, inHead);
    headOffset_ += part;
    count -= part;
    if (part == inHead) {
      Block* done = head_;
      head_ = done->next;
      done->next = nullptr;
      pool_->give(done);
      headOffset_ = 0;
      if (!head_) {
        tail_ = nullptr;
        tailUsed_ = 0;
      }
    }
  }
}

template <typename Visit>
void BlockQueue::parts(size_t offset, size_t count, Visit visit) const {
  size_t at = headOffset_ + offset;
  for (Block* block = head_; count > 0; block = block->next) {
    if (at < Block::kDataBytes) {
      const size_t part = std::min(count, Block::kDataBytes - at);
      visit(block->data + at, part);
      count -= part;
      at = 0;
    } else {
      at -= Block::kDataBytes;
    }
  }
}

void BlockQueue::peek(size_t offset, uint8_t* out, size_t count) const {
  parts(offset, count, [&](const uint8_t* bytes, size_t part) {
    std::memcpy(out, bytes, part);
    out += part;
  });
}

void BlockQueue::overwrite(size_t offset, const uint8_t* data, size_t count) {
  parts(offset, count, [&](uint8_t* bytes, size_t part) {
    std::memcpy(bytes, data, part);
    data += part;
  });
}

void BlockQueue::clear() {
  pool_->give(head_);
  head_ = tail_ = nullptr;
  headOffset_ = tailUsed_ = bytes_ = 0;
}

}  // namespace sidetone
