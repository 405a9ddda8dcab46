// The sample of the provider's page "接入托管 ComfyUI 工作流 API 服务", section "实时获取任务进度 (WebSocket 方式)":
// its code blocks in order, unchanged but for indentation. page.test.js puts the token and the address in.

const promptToken = "your_prompt_token_here"; // 替换为实际的 prompt_token
const socket = new WebSocket(
  `wss://cloud.infini-ai.com/api/maas/comfy_task_ws_api/get_task_progress?authorization=${promptToken}`
);
socket.onopen = () => {
  console.log("WebSocket 连接已建立");
  // 连接建立后,服务器会自动开始推送该 token 对应任务的进度更新
};
socket.onerror = (error) => {
  console.error("WebSocket 错误:", error);
};
socket.onclose = (event) => {
  console.log("WebSocket 连接已关闭:", event.code, event.reason);
  // 注意:任务完成或失败后,服务器可能会主动关闭连接
};

socket.onmessage = (event) => {
  try {
    const data = JSON.parse(event.data);
    if (data.comfy_task_info) {
      const taskInfo = data.comfy_task_info;
      // 显示任务进度和状态
      displayTaskProgress(taskInfo);
      // 当任务成功完成时,处理最终文件
      if (taskInfo.status === 3 && taskInfo.progress_num === 100) {
        console.log("任务成功完成,处理最终结果文件:");
        if (taskInfo.final_files && taskInfo.final_files.length > 0) {
          // 解码并显示最终结果图片
          displayResultFiles(
            taskInfo.final_files.map(decodeAndCleanUrl),
            "final-results"
          );
        } else if (taskInfo.files) {
          // 如果 final_files 为空但 files 有内容,可能需要根据节点 ID 处理 files
          console.warn("final_files 为空,尝试从 files 获取结果...");
          // Example: Process files from a specific node ID like '9'
          const outputNodeId = "9"; // Change this based on your workflow's output node
          if (taskInfo.files[outputNodeId]) {
            displayResultFiles(
              taskInfo.files[outputNodeId].map(decodeAndCleanUrl),
              "final-results"
            );
          }
        }
      }
      // (可选) 如果需要实时预览,可以处理 files 字段
      // else if (taskInfo.status === 2 && taskInfo.files) { ... }
    } else {
      console.log("收到非任务进度消息:", data);
    }
  } catch (e) {
    console.error("处理 WebSocket 消息失败:", e, "原始数据:", event.data);
  }
};
function displayTaskProgress(taskInfo) {
  const progressElement = document.getElementById("task-progress"); // Assume you have an element with this ID
  if (!progressElement) return;
  progressElement.innerHTML = `
  <p>任务ID: ${taskInfo.comfy_task_id}</p>
  <p>状态: ${getStatusText(taskInfo.status)}</p>
  <p>进度: ${taskInfo.progress_num}%</p>
  <p>队列位置: ${
    taskInfo.current_position > 0
    ? taskInfo.current_position + " / " + taskInfo.queue_size
    : "N/A"
  }</p>
  ${
    taskInfo.errMsg
    ? `<p style="color: red;">错误: ${taskInfo.errMsg}</p>`
    : ""
  }
  `;
}
function getStatusText(status) {
  const statusMap = {
    1: "排队中",
    2: "生成中",
    3: "生成成功",
    4: "生成失败或用户已取消任务",
    5: "权限不足",
  };
  return statusMap[status] || "未知状态";
}
function displayResultFiles(fileUrls, containerId) {
  const filesElement = document.getElementById(containerId); // Assume you have an element for results
  if (!filesElement) return;
  filesElement.innerHTML = ""; // Clear previous results for this container
  fileUrls.forEach((url) => {
    const img = document.createElement("img");
    img.src = url;
    img.alt = "结果图片";
    img.style.maxWidth = "200px"; // Example styling
    img.style.margin = "5px";
    filesElement.appendChild(img);
  });
}
// 直接返回的 OSS 链接可能包含 \u 或 % 编码,请解码后使用。
function decodeAndCleanUrl(url) {
  try {
    // First, decode URI components like %2F, %3D etc.
    let decodedUrl = decodeURIComponent(url);
    // Then, replace JSON string unicode escapes like \u0026
    decodedUrl = decodedUrl.replace(/\\u([\dA-F]{4})/gi, (match, grp) =>
      String.fromCharCode(parseInt(grp, 16))
    );
    return decodedUrl;
  } catch (e) {
    console.error("URL 解码失败:", e, "原始 URL:", url);
    return url; // Return original URL if decoding fails
  }
}
