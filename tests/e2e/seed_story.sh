#!/usr/bin/env bash
# The story of the provider's page "接入托管 ComfyUI 工作流 API 服务", with curl alone: text to image, the result
# uploaded, image to image, polling, decoding of the links as the page does it, downloads, and one as JPEG.
# usage: seed_story.sh BASE_URL FIXTURES_DIR OUTPUT_DIR
set -euo pipefail
base=${1%/} fixtures=$2 out=$3
key='Authorization: Bearer sk-axbx5xcx9xAxbZyx'

call() { # call PATH BODY
  curl --silent --show-error --fail --request POST \
    --url "$base/api/maas/comfy_task_api/$1" \
    --header 'Accept: application/json' \
    --header "$key" \
    --header 'Content-Type: application/json' \
    --data "$2"
}

text_of() { # text_of MEMBER: its text in the JSON on standard input, escapes untouched as a person would copy it
  grep -o "\"$1\":[[:space:]]*\"[^\"]*\"" | head -n 1 | sed 's/^[^:]*:[[:space:]]*"//; s/"$//'
}

until_done() { # until_done TASK_ID [MORE_MEMBERS]: polls, and prints the answer of the finished task
  local answer
  for _ in $(seq 300); do
    answer=$(call get_task_info "{\"comfy_task_ids\": [\"$1\"], \"url_expire_period\": 1000${2:-}}")
    case $answer in
      *'"status":3,'* | *'"status": 3,'*) printf '%s\n' "$answer"; return ;;
      *'"status":4,'* | *'"status": 4,'*) printf 'failed: %s\n' "$answer" >&2; return 1 ;;
    esac
    sleep 0.05
  done
  printf 'not done: %s\n' "$answer" >&2
  return 1
}

first_link() { # the first link of final_files
  sed 's/.*"final_files":[[:space:]]*\[[[:space:]]*"//; s/".*//'
}

download() { # download FILE URL_ENCODED
  local url_encoded=$2 decoded_url
  # The page's own line. Its comment says Bash/Zsh: zsh's echo decodes \u0026 by itself, but in bash sed doubles the
  # backslash and %b halves it again, so that the escapes stay; what they mean is decoded here, once more.
  decoded_url=$(printf '%b' "$(echo "$url_encoded" | sed 's/\\u/\\\\u/g')") # Bash/Zsh, handling unicode escapes
  decoded_url=$(printf '%b' "$decoded_url")
  curl --silent --show-error --fail -o "$out/$1" "$decoded_url"
}

# 文生图
answer=$(call prompt "$(cat "$fixtures/text-to-image.request.json")")
prompt_id=$(text_of prompt_id <<<"$answer")
info=$(until_done "$prompt_id")
download spiderman-in-red-suit.png "$(first_link <<<"$info")"

# 图生图
answer=$(curl --silent --show-error --fail --request POST \
  --url "$base/api/maas/comfy_task_api/upload/image" \
  --header 'Accept: application/json' \
  --header "$key" \
  --header 'Content-Type: multipart/form-data' \
  --form "source_file=@$out/spiderman-in-red-suit.png")
image_id=$(text_of image_id <<<"$answer")
body=$(sed "s|\"te-[^\"]*/sui-[^\"]*\"|\"$image_id\"|" "$fixtures/image-to-image.request.json")
answer=$(call prompt "$body")
prompt_id=$(text_of prompt_id <<<"$answer")
info=$(until_done "$prompt_id")
download spiderwoman-in-black-suit.png "$(first_link <<<"$info")"

# 图片后处理
info=$(until_done "$prompt_id" ', "image_post_process_cmd": {"format": "jpg", "quality": {"q": 80}}')
download spiderwoman-in-black-suit.jpg "$(first_link <<<"$info")"

echo "image_id $image_id"
