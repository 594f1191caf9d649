// Jira's additions to the library.
import { boot, host } from "./dom.js";

if (boot.product === "jira") {
  host.defineModule("jira", {
    refreshIssuePage() {
      const notice = document.getElementById("refreshed");
      if (notice) notice.hidden = false;
    },
    openCreateIssueDialog: (_params, callback) => callback([]),
    openIssueDialog: (issueKey) => location.assign(`/browse/${encodeURIComponent(issueKey)}`),
    isDashboardItemEditable: (callback) => callback(false),
    setDashboardItemTitle() {},
    isNativeApp: (callback) => callback(false),
    getWorkflowConfiguration: (callback) => callback(undefined),
  });
}
